"""ouchi: turn ordinary hardware into an NFV host that can prove itself."""

__version__ = "0.1.0"
