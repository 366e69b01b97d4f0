"""A hash of all rows of a database, to test that nothing was changed."""

from collections.abc import Collection

from cogo_dagster_tests.conftest import Owner


def every_row(owner: Owner, *, but: Collection[str] = ()) -> dict[str, str]:
    """Return a hash over each table's rows, including their location and transaction.

    Args:
        but: Tables to leave out.
    """
    names = owner.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        " and relname <> all (%s) order by 1",
        (list(but),),
    ).fetchall()
    row = "t::text || t.xmin || t.ctid"
    hashed = " union all ".join(
        f"select '{name}', md5(coalesce(string_agg({row}, '|' order by {row}), '')) from public.{name} t"
        for (name,) in names
    )
    return dict(owner.execute(hashed.encode()).fetchall())
