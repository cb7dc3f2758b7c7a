"""People with just the permissions a test gives them."""

from __future__ import annotations

import itertools

from django.contrib.auth.models import Group, Permission, User
from django.test import Client

_numbers = itertools.count(1)


def client_with(*permissions: str, group: str = "") -> Client:
    """A logged-in staff client that holds `app.codename` permissions, or those of a group."""
    user = User.objects.create_user(f"user-{next(_numbers)}", is_staff=True)
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client
