"""`python -m monitor` is the same program as `modelwatch`."""

from monitor.cli import main

raise SystemExit(main())
