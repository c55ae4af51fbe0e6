"""The layout of NIGHTS, which exports have and imports and training read."""

NIGHTS_TABLE = "data.csv"
NIGHTS_COLUMNS = (
    "id", "left_vote", "right_vote", "votes", "ref_path", "left_path", "right_path", "split", "is_imagenet", "prompt",
)  # fmt: skip
SPLITS = ("train", "val", "test")
IMAGES = ("reference", "candidate_0", "candidate_1")


def image_path(number: int, image: str, extension: str) -> str:
    """Where an image of `IMAGES` of item `number` lies: `ref/xxx/yyy.EXT` or `distort/xxx/yyy_0.EXT`, `…_1.EXT`, with
    xxx = number // 1000 and yyy the rest."""
    place = f"{number // 1000:03d}/{number % 1000:03d}"
    return f"ref/{place}.{extension}" if image == "reference" else f"distort/{place}_{image[-1]}.{extension}"
