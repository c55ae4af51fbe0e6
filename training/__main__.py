"""`python -m training`: from judgments to a metric, and what one does with it."""

from training.cli import main

if __name__ == "__main__":
    main()
