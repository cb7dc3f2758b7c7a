from django.contrib.auth.management import create_permissions
from django.db import migrations

MAY = {
    "Marketer": ("view_replay", "add_replay", "change_replay"),
    "Engineer": ("view_replay", "add_replay", "change_replay", "delete_replay"),
    "Viewer": ("view_replay",),
}


def grant(apps, schema_editor):
    """Who switches an event on is offered to send its last days: marketers may replay, too."""
    config = apps.get_app_config("destinations")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)  # Django makes them after all migrations only
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    for name, codenames in MAY.items():
        for group in Group.objects.filter(name=name):
            group.permissions.add(
                *Permission.objects.filter(content_type__app_label="destinations", codename__in=codenames)
            )


class Migration(migrations.Migration):
    dependencies = [("routing", "0003_remember_destination_of_changes"), ("destinations", "0005_replays")]
    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
