import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

MAY = {
    "Marketer": ("view_draft", "review_draft"),
    "Engineer": ("view_draft", "review_draft"),
    "Viewer": ("view_draft",),
}


def grant(apps, schema_editor):
    """Who may switch may draft; a colleague of either group may review."""
    config = apps.get_app_config("routing")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)  # Django makes them after all migrations only
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    for name, codenames in MAY.items():
        for group in Group.objects.filter(name=name):
            group.permissions.add(*Permission.objects.filter(content_type__app_label="routing", codename__in=codenames))


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("destinations", "0007_alerts"),
        ("routing", "0007_config_groups"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Collecting",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Draft",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("in_review", "In review"),
                            ("approved", "Approved"),
                            ("scheduled", "Scheduled"),
                            ("published", "Published"),
                            ("discarded", "Discarded"),
                        ],
                        default="open",
                        max_length=16,
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=400)),
                (
                    "revision",
                    models.IntegerField(
                        default=1, help_text="Raised by each change, so that nobody acts on an old view."
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "collects_since",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="Of an author's open drafts, the latest takes the switches.",
                    ),
                ),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("comment", models.CharField(blank=True, help_text="What the reviewer said last.", max_length=400)),
                ("publish_at", models.DateTimeField(blank=True, null=True)),
                ("problem", models.TextField(blank=True, help_text="Why it was not published when it was to be.")),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "version",
                    models.BigIntegerField(
                        blank=True, help_text="The routing version that publishing it made.", null=True
                    ),
                ),
                (
                    "sentences",
                    models.JSONField(default=list, help_text="What was published, in the words of the history."),
                ),
                (
                    "author",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="drafts",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "publisher",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        blank=True,
                        help_text="Who is asked; then who decided.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="drafts_to_review",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "permissions": [("review_draft", "Can review the drafts of others")],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="DraftChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event_name", models.CharField(blank=True, help_text="Empty for a mode.", max_length=64)),
                (
                    "field",
                    models.CharField(
                        choices=[
                            ("mode", "Mode"),
                            ("enabled", "Enabled"),
                            ("native_name", "Native Name"),
                            ("native_id", "Native Id"),
                        ],
                        max_length=16,
                    ),
                ),
                ("wanted", models.CharField(blank=True, help_text="Of a switch: 1 or 0.", max_length=200)),
                ("seen", models.CharField(blank=True, help_text="In force when it was collected.", max_length=200)),
                ("seen_version", models.BigIntegerField(help_text="The routing version then.")),
                (
                    "destination",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="destinations.destination"
                    ),
                ),
                (
                    "draft",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="changes", to="routing.draft"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": (),
            },
        ),
        migrations.AddIndex(
            model_name="draft",
            index=models.Index(condition=models.Q(("state", "scheduled")), fields=["publish_at"], name="draft_due"),
        ),
        migrations.AddIndex(
            model_name="draft",
            index=models.Index(fields=["state", "author"], name="draft_by_state"),
        ),
        migrations.AddConstraint(
            model_name="draftchange",
            constraint=models.UniqueConstraint(
                fields=("draft", "destination", "event_name", "field"), name="draft_change_once"
            ),
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
