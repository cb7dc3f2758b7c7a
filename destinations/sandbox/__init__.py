"""Stand-ins for the platforms: they answer as the vendors do, and check what we send more strictly than the vendors.

Written from the vendors' own documentation and independent of the adapters in `destinations.platforms`, so that a
misreading in one of the two shows. Nothing here imports Django.
"""
