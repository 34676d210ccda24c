"""Run openholder from a checkout: first ``pip install -e .``, then ``python server.py serve -c FILE``."""

try:
    from openholder.cli import main
except ModuleNotFoundError as exc:
    if exc.name != "openholder":
        raise
    raise SystemExit("openholder is not installed. Run: pip install -e .") from None

if __name__ == "__main__":
    raise SystemExit(main())
