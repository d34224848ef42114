"""``python -m ouchi``."""

from ouchi.cli import main

raise SystemExit(main())
