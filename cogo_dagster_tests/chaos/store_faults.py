"""Faults of the artifact store: full, read-only, unreachable."""

from contextlib import suppress

from cogo_dagster_tests.chaos.lasting import ENDED, Lasting, NotPossible
from cogo_dagster_tests.chaos.plan import Step
from cogo_dagster_tests.chaos.world import World


def disk_full(world: World, step: Step) -> Lasting:
    """Fill the disk of the artifacts; Storage returns 507."""
    if world.stand_in is not None:
        world.stand_in.faults.order("answer", "/storage/", status=507, times=10)
        return ENDED
    if not world.full_disk:
        return store_away(world, step)
    filler = world.artifacts / "filler"
    with suppress(OSError), filler.open("wb") as written:
        while True:
            written.write(bytes(65_536))

    def empty() -> None:
        world.remount("rw")
        filler.unlink(missing_ok=True)

    return step.hold_seconds * 2, empty


def store_away(world: World, step: Step) -> Lasting:
    """Remove the folder, or make it read-only; Storage returns 503."""
    if world.stand_in is not None:
        world.stand_in.faults.order("answer", "/storage/", status=503, times=10)
        return ENDED
    if world.full_disk:
        world.remount("ro")
        return step.hold_seconds * 2, lambda: world.remount("rw")
    aside = world.artifacts.with_name("artifacts.away")
    if aside.exists() or not world.artifacts.is_dir():
        raise NotPossible
    world.artifacts.rename(aside)
    world.artifacts.touch()

    def back() -> None:
        world.artifacts.unlink()
        aside.rename(world.artifacts)

    return step.hold_seconds * 2, back
