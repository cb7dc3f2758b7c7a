"""What the shell of every page needs."""

from __future__ import annotations

from django import template
from django.template.base import NodeList
from django.template.context import Context
from django.template.loader_tags import BlockNode

register = template.Library()


@register.simple_tag(takes_context=True)
def again(context: Context, block: str) -> str:
    """What the page put into a block, a second time: a template may define each block but once."""
    return BlockNode(block, NodeList()).render(context)
