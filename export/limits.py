"""What a request to an export may hold at most, unless the export says otherwise."""

MAX_ROWS = 500  # tasks, support rows and query rows
MAX_IMAGE_PIXELS = 4_000_000  # of an image file
