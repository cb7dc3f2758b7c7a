from django.db import migrations


def add(apps, schema_editor):
    """The built-in warehouse is a destination like any other on screen, only that it needs no setting up."""
    apps.get_model("destinations", "Destination").objects.get_or_create(
        platform_key="warehouse",
        defaults={"name": "Warehouse", "event_mode": "everything"},
    )


class Migration(migrations.Migration):
    dependencies = [("destinations", "0001_initial")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
