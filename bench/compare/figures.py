"""Medians, ranges, paired ratios and their texts."""


def median(values):
    """Of a non-empty list."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def paired_ratios(numerators, denominators):
    """{round: value} twice -> the ratios of the rounds that both have, in order of the rounds.

    Both values of a pair are seconds apart on the same machine, so that what slows the machine down cancels out; the ratio of two medians
    would compare a quiet moment of one with a busy moment of the other.
    """
    return [numerators[r] / denominators[r] for r in sorted(numerators) if r in denominators and denominators[r] > 0]


def significant(value, digits=3):
    """1234.5 -> '1,234', 12.345 -> '12.3', 0.012345 -> '0.0123'"""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    decimals = digits - 1
    limit = 1.0
    while abs(value) < limit and decimals < 9:
        limit /= 10
        decimals += 1
    while abs(value) >= 10 ** (digits - decimals):
        decimals -= 1
    return f"{value:.{decimals}f}"


def count(value):
    """1234567 -> '1.23 M', 45678 -> '45.7 k'"""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return significant(value / size) + unit
    return significant(value)


def size(bytes_):
    """4096 -> '4 KiB', 512 -> '512 B', 69206016 -> '66 MiB'"""
    for unit_bytes, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if bytes_ >= unit_bytes:
            return f"{bytes_ / unit_bytes:.4g} {unit}"
    return f"{bytes_} B"


def times(ratios):
    """[1.1, 1.3, 1.2] -> '1.20x (1.10-1.30)'; one round has no range; none: '-'"""
    if not ratios:
        return "-"
    text = f"{median(ratios):.2f}x"
    return text if len(ratios) == 1 else f"{text} ({min(ratios):.2f}-{max(ratios):.2f})"


def with_range(values, form=significant):
    if not values:
        return "-"
    text = form(median(values))
    return text if len(values) == 1 else f"{text} ({form(min(values))}-{form(max(values))})"


def duration(seconds):
    """95 -> '1 min 35 s'"""
    seconds = round(seconds)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min" + (f" {seconds % 60} s" if seconds % 60 else "")


def histogram_quantile(buckets, share):
    """The least upper edge that at least `share` of all fall below; [(edge, cumulative count)], the last edge infinite. None while empty."""
    total = buckets[-1][1] if buckets else 0
    if total == 0:
        return None
    return next(edge for edge, cumulative in buckets if cumulative >= share * total)


def histogram_difference(after, before):
    """Cumulative buckets of what came between."""
    earlier = dict(before)
    return [(edge, cumulative - earlier.get(edge, 0)) for edge, cumulative in after]


def histogram_max(buckets):
    """Upper edge of the highest bucket that holds something; None while empty."""
    return histogram_quantile(buckets, 1.0)


def next_limit(tried, target):
    """The next memory limit to try so that a server's RSS becomes `target`, from [(limit, RSS)] so far: on the line through the two nearest
    to it if that rises as it should, else in proportion to the nearest."""
    nearest = sorted(tried, key=lambda pair: abs(pair[1] - target))
    limit, measured = nearest[0]
    guess = limit * target / measured
    if len(nearest) > 1 and nearest[1][0] != limit:
        slope = (nearest[1][1] - measured) / (nearest[1][0] - limit)
        if 0.5 <= slope <= 3:
            guess = limit + (target - measured) / slope
    return max(1 << 20, int(guess))
