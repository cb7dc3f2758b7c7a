from django.contrib.auth.management import create_permissions
from django.db import migrations

APPS = ("events", "destinations", "routing")
EVERYONE_MAY = {"routing.export_route"}
MARKETER_MAY = EVERYONE_MAY | {"routing.toggle_route", "routing.change_route"}


def add_groups(apps, schema_editor):
    """Marketer: toggles and mapping. Engineer: all but users. Viewer: looks. Enforced by permissions on every screen."""
    for label in APPS:
        # Django makes permissions after all migrations; the groups need them now.
        config = apps.get_app_config(label)
        config.models_module = True
        create_permissions(config, apps=apps, verbosity=0)
        config.models_module = None
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ours = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.filter(content_type__app_label__in=APPS).select_related("content_type")
    }
    views = {name for name in ours if name.partition(".")[2].startswith("view_")}
    for name, allowed in (
        ("Marketer", views | MARKETER_MAY),
        ("Engineer", set(ours)),
        ("Viewer", views | EVERYONE_MAY),
    ):
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.add(*(ours[permission] for permission in allowed))


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0001_initial"),
        ("destinations", "0002_builtin_warehouse"),
        ("events", "0002_load_taxonomy"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(add_groups, migrations.RunPython.noop)]
