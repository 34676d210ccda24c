"""Run openholder from a checkout: ``pip install -e .`` once, then ``python server.py serve -c FILE``."""

try:
    from openholder.cli import main
except ModuleNotFoundError as exc:
    if exc.name != "openholder":
        raise
    raise SystemExit("Not installed yet. Run: pip install -e .") from None

if __name__ == "__main__":
    raise SystemExit(main())
