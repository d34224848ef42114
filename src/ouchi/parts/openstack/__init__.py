"""The embedded OpenStack: one node, without containers, next to a private MariaDB and RabbitMQ."""
