"""Batches that wait to be routed, in SQL: by source, so that one with a long queue does not stand before the others."""

from __future__ import annotations

SOURCES = """waiting (source_id) AS (
    (SELECT source_id FROM events_ingestbatch WHERE routed_at IS NULL ORDER BY source_id LIMIT 1)
    UNION ALL
    SELECT (SELECT source_id FROM events_ingestbatch b WHERE b.routed_at IS NULL AND b.source_id > waiting.source_id
        ORDER BY b.source_id LIMIT 1)
    FROM waiting WHERE waiting.source_id IS NOT NULL
)"""
"""For WITH RECURSIVE: the sources of which a batch waits, one look into the index for each, and a null at the end."""

FIRST = """(SELECT min(head.id) FROM waiting CROSS JOIN LATERAL (
    SELECT b.id FROM events_ingestbatch b WHERE b.routed_at IS NULL AND b.source_id = waiting.source_id
    ORDER BY b.id LIMIT 1
) head)"""
"""With SOURCES: the key of the first batch that waits, or null."""

ANY = "((SELECT source_id FROM events_ingestbatch WHERE routed_at IS NULL ORDER BY source_id LIMIT 1) IS NOT NULL)"
"""A condition: some batch waits. EXISTS would read the whole table where statistics promise many of them."""
