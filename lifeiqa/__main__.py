"""``python -m lifeiqa``, which is also what torchrun starts."""

from lifeiqa.cli import main

if __name__ == "__main__":
    main(prog_name="lifeiqa")
