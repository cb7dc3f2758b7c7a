import os

from django.core.wsgi import get_wsgi_application

from trackstack_site.memory import collect_seldom

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trackstack_site.settings")
application = get_wsgi_application()

collect_seldom()
