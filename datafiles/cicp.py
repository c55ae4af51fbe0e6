"""Colour spaces by their code points (ITU-T H.273), as a PNG's cICP chunk gives them."""

from datafiles import icc
from datafiles.errors import BadFile
from datafiles.icc import SRGB_CURVE, SRGB_PRIMARIES, Chromaticities, matrix_profile, power

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_PRIMARIES = {
    1: SRGB_PRIMARIES,
    4: Chromaticities(_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: Chromaticities(_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Chromaticities(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: Chromaticities(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    8: Chromaticities(_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: Chromaticities(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Chromaticities((0.314, 0.351), *_P3),
    12: Chromaticities(_D65, *_P3),
    22: Chromaticities(_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_TELEVISION = power(2.4)  # BT.1886: how a display shows what the camera's curves of BT.709, 601 and 2020 have written
_CURVES = {
    1: _TELEVISION,
    4: power(2.2),
    5: power(2.8),
    6: _TELEVISION,
    8: power(1.0),
    13: SRGB_CURVE,
    14: _TELEVISION,
    15: _TELEVISION,
}
_HDR = {16: "PQ", 18: "HLG"}
_RGB, _FULL_RANGE = 0, 1


def profile_of(chunk: bytes) -> bytes:
    """The ICC profile of a cICP chunk: primaries, transfer function, matrix, range, a byte each.

    Raises BadFile for light brighter than a screen's white (PQ, HLG), which every program brings down in a way of its
    own, and for code points that programs do not agree on.
    """
    if len(chunk) != 4:
        raise BadFile("its cICP chunk is damaged")
    primaries, transfer, *_ = chunk
    _refuse_hdr(transfer)
    if not _is_known(chunk):
        codes = "/".join(str(code) for code in chunk)
        raise BadFile(f"its cICP chunk says {codes}, which programs show in different colours: convert it to sRGB")
    return matrix_profile(_PRIMARIES[primaries], _CURVES[transfer])


def instead_of(profile: bytes) -> bytes:
    """The profile that browsers follow where an ICC profile has a `cicp` tag. Raises BadFile for HDR."""
    codes = icc.cicp_of(profile)
    if codes is None or len(codes) != 4:
        return profile
    _refuse_hdr(codes[1])
    return profile_of(codes) if _is_known(codes) else profile


def _is_known(codes: bytes) -> bool:
    primaries, transfer, *rest = codes
    return primaries in _PRIMARIES and transfer in _CURVES and rest == [_RGB, _FULL_RANGE]


def _refuse_hdr(transfer: int) -> None:
    if transfer in _HDR:
        raise BadFile(
            f"its colours are HDR ({_HDR[transfer]}), which every program shows differently: save it in sRGB from the "
            "program that made it"
        )
