from django.contrib.auth.management import create_permissions
from django.db import migrations


def grant(apps, schema_editor):
    """Tokens are the engineers' business."""
    config = apps.get_app_config("routing")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)  # Django makes them after all migrations only
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    ours = Permission.objects.filter(content_type__app_label="routing", content_type__model="configtoken")
    for group in Group.objects.filter(name="Engineer"):
        group.permissions.add(*ours)


class Migration(migrations.Migration):
    dependencies = [("routing", "0006_config_tokens")]
    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
