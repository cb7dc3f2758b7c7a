from django.contrib.auth.management import create_permissions
from django.db import migrations

MODELS = ("alertrule", "alertchannel", "alertincident", "alertnotice")


def grant(apps, schema_editor):
    """Everybody sees what is watched; engineers decide it, and whom to tell."""
    config = apps.get_app_config("destinations")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)  # Django makes them after all migrations only
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    ours = Permission.objects.filter(content_type__app_label="destinations", content_type__model__in=MODELS)
    for group in Group.objects.filter(name__in=("Marketer", "Viewer")):
        group.permissions.add(*ours.filter(codename__startswith="view_"))
    for group in Group.objects.filter(name="Engineer"):
        group.permissions.add(*ours)


class Migration(migrations.Migration):
    dependencies = [("routing", "0004_replay_groups"), ("destinations", "0007_alerts")]
    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
