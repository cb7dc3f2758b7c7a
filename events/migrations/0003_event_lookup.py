from django.db import migrations

COLUMNS = (
    "(payload->>'transactionId')",
    "(payload->>'orderId')",
    "(md5(lower(payload->>'email')))",
    "(payload->>'externalId')",
)
# 32 pages hold some 500 events; one false alarm in a hundred costs less than larger filters do.
BLOOM = "text_bloom_ops (n_distinct_per_range = 600, false_positive_rate = 0.01)"


class Migration(migrations.Migration):
    dependencies = [("events", "0002_load_taxonomy")]
    operations = [
        migrations.RunSQL(
            f"CREATE INDEX event_lookup ON events_event USING brin ({', '.join(f'{c} {BLOOM}' for c in COLUMNS)})"
            " WITH (pages_per_range = 32)",
            "DROP INDEX event_lookup",
        )
    ]
