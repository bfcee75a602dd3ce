"""Gnomon: shadow deployment for AI models."""

__version__ = "0.1.0"
