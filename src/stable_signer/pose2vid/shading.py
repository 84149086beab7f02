"""Shading: from visible triangles to a picture. numba kernels, one frame at a time, without Python's lock.

Deferred: `raster.visible` has found the triangle behind each of 2 x 2 samples a pixel. A pixel whose samples
lie on one smooth surface is shaded once, a pixel on an edge four times: antialiasing where it is seen, at
little cost.

Light: a key light with shadows, a fill, a rim light, and a sky above a floor. Skin wraps light around its
terminator, red furthest (blood scatters red light most: a cheap stand-in for subsurface scattering). Contact
shadows compare the depth of a point with the mean depth around it ("unsharp masking the depth buffer", Luft,
Colditz and Deussen 2006), at two widths: a narrow one that draws a dark line between fingers, a wide one that
sets hands off from the body.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stable_signer.body.kernels import inlined, kernel, small

SKIN, EYE, TONGUE, TEETH, CLOTH, HAIR = range(6)  # what a triangle is made of
# Columns of the vertex attributes.
CANON, COLOUR, AMBIENT, PAINTED, GLOSS, ATTRIBUTES = 0, 3, 6, 7, 8, 9
SHADOW = 0.55  # of the key light that a shadow takes: a darker one looks like a second hand
DARKEST_STRAND, STRANDS_APART = 0.62, 0.76  # tones of hair, as shares of its colour
TONES = 8192  # entries of the tone curve, over [0, 2) in linear light


class Scene(NamedTuple):
    """What the kernels know of light and signer; every field a tuple of floats.

    camera (3,) where it stands. key, fill, rim (6,): unit vector towards the light, linear colour. sky,
    ground (3,).
    contact (6,): narrow gap ignored (m), one over the gap that is darkest (1/m), the same two for the wide
    one, strength of the narrow and of the wide shadow. face_map (3,): x and z of the paint's first texel,
    texels a metre.
    eye (3,): the left one's centre, the other is its mirror image. iris (4,): colour, radius. across, upward
    (3,): axes of the shadow map.
    shadow_map (4,): texels a metre, column and row of the origin, distance of the light. strands (3,): the
    way hair falls. head (4,): its axis' x and y, unused, strands a radian.
    """

    camera: tuple[float, ...]
    key: tuple[float, ...]
    fill: tuple[float, ...]
    rim: tuple[float, ...]
    sky: tuple[float, ...]
    ground: tuple[float, ...]
    contact: tuple[float, ...]
    face_map: tuple[float, ...]
    eye: tuple[float, ...]
    iris: tuple[float, ...]
    across: tuple[float, ...]
    upward: tuple[float, ...]
    shadow_map: tuple[float, ...]
    strands: tuple[float, ...]
    head: tuple[float, ...]


def tone_curve() -> np.ndarray:
    """(TONES,) uint8: linear light in [0, 2) -> sRGB, with a soft shoulder above 0.75 instead of clipping."""
    x = (np.arange(TONES) + 0.5) / TONES * 2
    knee = 0.75
    over = np.maximum(x - knee, 0)
    x = np.where(x > knee, knee + (1 - knee) * (1 - np.exp(-over / (1 - knee))), x)
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return np.clip(np.rint(srgb * 255), 0, 255).astype(np.uint8)


def linear_light(tones: np.ndarray) -> np.ndarray:
    """(256,) float32: the light that a tone curve (`tone_curve`) shows as each value: the middle of
    what it does, so that a mean of equal values is that value again."""
    first = np.searchsorted(tones, np.arange(257), "left").astype(np.float32)
    first[256] = first[255] + 1  # all that is lighter is white, too
    return (first[:-1] + first[1:]) / len(tones)


def toned(light: np.ndarray, tones: np.ndarray) -> np.ndarray:
    """Linear light -> uint8 through a tone curve."""
    place = np.clip(light * (len(tones) / 2), 0, len(tones) - 1)
    return np.asarray(tones[place.astype(np.int32)])


@kernel
def vertex_normals_into(position, triangles, normals):  # type: ignore[no-untyped-def]
    """position (N, 3), triangles (F, 3) -> normals (N, 3), area-weighted and of unit length."""
    normals[:] = 0
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux, uy, uz = (
            position[j, 0] - position[i, 0],
            position[j, 1] - position[i, 1],
            position[j, 2] - position[i, 2],
        )
        vx, vy, vz = (
            position[k, 0] - position[i, 0],
            position[k, 1] - position[i, 1],
            position[k, 2] - position[i, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (i, j, k):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0:
            for c in range(3):
                normals[v, c] /= length


@kernel
def box_mean(depth, count, radius, out_depth, out_count):  # type: ignore[no-untyped-def]
    """Sums of depth and count (H, W) over squares of 2 radius + 1, separably, into the out buffers."""
    height, width = depth.shape
    column_depth = np.zeros(width)
    column_count = np.zeros(width)
    for row in range(-radius, height):
        enter, leave = row + radius, row - radius - 1
        if enter < height:
            for x in range(width):
                column_depth[x] += depth[enter, x]
                column_count[x] += count[enter, x]
        if leave >= 0:
            for x in range(width):
                column_depth[x] -= depth[leave, x]
                column_count[x] -= count[leave, x]
        if row < 0:
            continue
        total_depth = total_count = 0.0
        for x in range(-radius, width):
            if x + radius < width:
                total_depth += column_depth[x + radius]
                total_count += column_count[x + radius]
            if x - radius - 1 >= 0:
                total_depth -= column_depth[x - radius - 1]
                total_count -= column_count[x - radius - 1]
            if x >= 0:
                out_depth[row, x] = total_depth
                out_count[row, x] = total_count


@kernel
def mean_depth(inverse, step, radius, outline):  # type: ignore[no-untyped-def]
    """inverse (H, W) of the samples -> (H / step, W / step) mean depth of the figure around each cell,
    metres.

    Two passes of a box of `radius` cells (a tent); the background does not count. 0 where no figure is near.
    outline: metres added where all but a little around is background.
    """
    height, width = inverse.shape[0] // step, inverse.shape[1] // step
    depth = np.zeros((height, width), np.float32)
    count = np.zeros((height, width), np.float32)
    for row in range(height):
        for column in range(width):
            nearest = np.float32(0)
            for dy in range(0, step, max(step // 2, 1)):
                for dx in range(0, step, max(step // 2, 1)):
                    nearest = max(nearest, inverse[row * step + dy, column * step + dx])
            if nearest > 0:
                depth[row, column] = np.float32(1) / nearest
                count[row, column] = np.float32(1)
    once_depth, once_count = np.empty_like(depth), np.empty_like(count)
    box_mean(depth, count, radius, once_depth, once_count)
    box_mean(once_depth, once_count, radius, depth, count)
    whole = float((2 * radius + 1) ** 4)
    for row in range(height):
        for column in range(width):
            covered = count[row, column] / whole
            if covered > 0.01:
                # at the figure's outline nothing stands beside a point that could shade it: push the mean
                # back
                depth[row, column] = (
                    depth[row, column] / count[row, column] + max(0.9 - covered, 0.0) * outline
                )
            else:
                depth[row, column] = 0
    return depth


@small
def _noise(x):  # type: ignore[no-untyped-def]
    """Smooth noise on the line, in [0, 1]: hashed at the whole numbers."""
    cell = np.floor(x)
    t = x - cell
    a = np.sin(cell * 127.1) * 43758.5453
    b = np.sin((cell + 1) * 127.1) * 43758.5453
    a -= np.floor(a)
    b -= np.floor(b)
    t = t * t * (3 - 2 * t)
    return a + (b - a) * t


@small
def _lit_share(shadow, x, y, depth, bias):  # type: ignore[no-untyped-def]
    """How much of the key light arrives, in [0, 1]: 3 x 3 taps of the shadow map, weighted as a tent."""
    size = shadow.shape[0]
    column, row = int(np.floor(x)), int(np.floor(y))
    if column < 1 or row < 1 or column >= size - 2 or row >= size - 2:
        return 1.0
    fx, fy = x - column, y - row
    limit = depth - bias
    light = 0.0
    for dy in range(-1, 3):
        wy = 1 - fy if dy == -1 else (fy if dy == 2 else 1.0)
        for dx in range(-1, 3):
            wx = 1 - fx if dx == -1 else (fx if dx == 2 else 1.0)
            inv = shadow[row + dy, column + dx]
            if inv * limit <= 1:
                light += wx * wy
    return light / 9


@small
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@small
def _unit(a):  # type: ignore[no-untyped-def]
    over = 1 / np.sqrt(_dot(a, a) + 1e-20)
    return a[0] * over, a[1] * over, a[2] * over


@small
def _mix(a, b, share):  # type: ignore[no-untyped-def]
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share


@small
def _wrapped(dot, wrap):  # type: ignore[no-untyped-def]
    """Lambert's cosine, wrapped around the terminator."""
    return max((dot + wrap) / (1 + wrap), 0.0)


@inlined
def corner_weights(points, corners, x, y):  # type: ignore[no-untyped-def]
    """Where sample (x, y) lies in a triangle of the picture: whether it is seen from behind, and the
    perspective-correct weights of its corners; points (N, 3) in sample coordinates."""
    i, j, k = corners
    u = (points[k, 0] - points[j, 0]) * (y - points[j, 1]) - (points[k, 1] - points[j, 1]) * (
        x - points[j, 0]
    )
    v = (points[i, 0] - points[k, 0]) * (y - points[k, 1]) - (points[i, 1] - points[k, 1]) * (
        x - points[k, 0]
    )
    w = (points[j, 0] - points[i, 0]) * (y - points[i, 1]) - (points[j, 1] - points[i, 1]) * (
        x - points[i, 0]
    )
    back = u + v + w > 0
    u, v, w = u / points[i, 2], v / points[j, 2], w / points[k, 2]
    over = 1 / (u + v + w)
    return back, (u * over, v * over, w * over)


@small
def one(table, corners, weights, column):  # type: ignore[no-untyped-def]
    """A column of a vertex table (N, C), interpolated."""
    return (
        weights[0] * table[corners[0], column]
        + weights[1] * table[corners[1], column]
        + weights[2] * table[corners[2], column]
    )


@small
def three(table, corners, weights, column):  # type: ignore[no-untyped-def]
    """Three columns of a vertex table (N, C), interpolated."""
    return (
        one(table, corners, weights, column),
        one(table, corners, weights, column + 1),
        one(table, corners, weights, column + 2),
    )


@small
def painted_skin(base, canon, cover, paint, scene):  # type: ignore[no-untyped-def]
    """The skin's colour under the face paint, looked up bilinearly at the canonical place."""
    s = (canon[0] - scene.face_map[0]) * scene.face_map[2]
    t = (scene.face_map[1] - canon[2]) * scene.face_map[2]
    column, row = int(s), int(t)
    if s > 0 and t > 0 and column < paint.shape[1] - 1 and row < paint.shape[0] - 1:
        s, t = s - column, t - row
        red = green = blue = alpha = 0.0
        for corner in range(4):
            y, x = row + corner // 2, column + corner % 2
            share = (t if corner // 2 else 1 - t) * (s if corner % 2 else 1 - s)
            red += share * paint[y, x, 0]
            green += share * paint[y, x, 1]
            blue += share * paint[y, x, 2]
            alpha += share * paint[y, x, 3]
        base = _mix(base, (red, green, blue), alpha * cover)
    return base


@small
def eye_colour(white, canon, scene):  # type: ignore[no-untyped-def]
    """White, iris with a dark rim, pupil; canon: canonical place."""
    x, z = abs(canon[0]) - scene.eye[0], canon[2] - scene.eye[2]
    radius = np.sqrt(x * x + z * z) / scene.iris[3]  # 1 at the iris's edge
    if canon[1] > scene.eye[1] or radius > 1.12:
        return white
    tone = 0.62 + 1.5 * radius * (1 - radius) - (0.5 if radius > 0.85 else 0.0)
    iris = (scene.iris[0] * tone, scene.iris[1] * tone, scene.iris[2] * tone)
    iris = _mix(iris, (0.008, 0.007, 0.007), min(max((0.43 - radius) / 0.12, 0.0), 1.0))
    return _mix(white, iris, min(max((1.12 - radius) / 0.2, 0.0), 1.0))


@small
def strand_of(canon, sleek, scene):  # type: ignore[no-untyped-def]
    """Which strand of hair a canonical place belongs to: noise in [0, 1], around the head or in curls."""
    if sleek < 0.5:
        x, y, z = canon[0] * 520, canon[1] * 520, canon[2] * 520
        waves = np.sin(x + 1.7 * np.sin(z * 0.31)) * np.sin(y + 2 * np.sin(x * 0.27))
        return 0.5 + 0.22 * (waves + np.sin(z * 0.83 + y * 0.4))
    angle = np.arctan2(canon[0] - scene.head[0], scene.head[1] - canon[1]) * scene.head[3]
    return _noise(angle) * 0.6 + _noise(angle * 2.7 + 31 + canon[2] * 25) * 0.4


@small
def strand_tone(strand):  # type: ignore[no-untyped-def]
    """By how much a strand in [0, 1] is lighter or darker than the hair."""
    return DARKEST_STRAND + STRANDS_APART * strand


@small
def _hair_gleam(normal, half, strand, scene):  # type: ignore[no-untyped-def]
    """The highlight across the strands (Kajiya and Kay 1989); half: unit vector between eye and light."""
    along = -_dot(normal, scene.strands)
    tangent = _unit(
        (
            scene.strands[0] + along * normal[0],
            scene.strands[1] + along * normal[1],
            scene.strands[2] + along * normal[2],
        )
    )
    across = _dot(tangent, half) + 0.22 * (strand - 0.5)
    sine2 = max(1 - across * across, 0.0)
    sine4 = sine2 * sine2
    sine8 = sine4 * sine4
    return sine8 * sine8 * 0.10 * (0.4 + strand)


@small
def _gleam(kind, half_dot, edge, gloss):  # type: ignore[no-untyped-def]
    """The highlight of skin, teeth and eyes: powers of the cosine, more towards the edge (Fresnel)."""
    if half_dot <= 0:
        return 0.0
    cosine2 = half_dot * half_dot
    cosine4 = cosine2 * cosine2
    cosine8 = cosine4 * cosine4
    cosine16 = cosine8 * cosine8
    if kind == EYE:
        return cosine16 * cosine16 * cosine16 * cosine16 * cosine16 * 1.6
    return (0.6 * cosine16 * cosine8 + 0.25 * cosine8 + 0.25 * edge * edge * edge * edge) * gloss


@small
def light_from(place, shadow, scene, bias):  # type: ignore[no-untyped-def]
    """How much of a scene's key light a place in the world sees, in [0, 1]; shadow: its map. What lies nearer
    than `bias` metres does not hide it."""
    x = _dot(place, scene.across) * scene.shadow_map[0] + scene.shadow_map[1]
    y = _dot(place, scene.upward) * -scene.shadow_map[0] + scene.shadow_map[2]
    depth = scene.shadow_map[3] - _dot(place, scene.key)
    return _lit_share(shadow, x, y, depth, bias)


@small
def _key_share(place, dot, shadow, scene):  # type: ignore[no-untyped-def]
    """How much of the key light reaches a place in the world, in [0, 1]."""
    share = 1.0
    if dot > -0.35:
        bias = 0.015 + 0.025 * (1 - max(dot, 0.0))
        share = 1 - SHADOW * (1 - light_from(place, shadow, scene, bias))
    return share


@small
def _contact(depth, near, around, scene):  # type: ignore[no-untyped-def]
    """What is left of the light at a point that lies behind its surroundings."""
    narrow = max(depth - near - scene.contact[0], 0.0)
    narrow /= narrow + scene.contact[1]
    wide = min(max((depth - around - scene.contact[2]) * scene.contact[3], 0.0), 1.0)
    return (1 - scene.contact[4] * narrow) * (1 - scene.contact[5] * wide)


@inlined
def _fragment(  # type: ignore[no-untyped-def]
    f, x, y, near, around, points, world, triangles, material, normals, attributes, paint, scene, shadow, out
):
    """Colour of the point of triangle f at sample (x, y) -> out (3,) linear RGB."""
    corners = (triangles[f, 0], triangles[f, 1], triangles[f, 2])
    ax, ay, az = points[corners[0], 0], points[corners[0], 1], points[corners[0], 2]
    bx, by, bz = points[corners[1], 0], points[corners[1], 1], points[corners[1], 2]
    cx, cy, cz = points[corners[2], 0], points[corners[2], 1], points[corners[2], 2]
    u = (cx - bx) * (y - by) - (cy - by) * (x - bx)
    v = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
    w = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    area = u + v + w
    # a point between samples may lie a little outside: clamp; then correct for perspective
    u, v, w = max(u / area, 0.0) / az, max(v / area, 0.0) / bz, max(w / area, 0.0) / cz
    total = u + v + w
    weights = (u / total, v / total, w / total)

    place = three(world, corners, weights, 0)
    normal = _unit(three(normals, corners, weights, 0))
    view = _unit((scene.camera[0] - place[0], scene.camera[1] - place[1], scene.camera[2] - place[2]))
    inner = 1.0
    if area > 0:  # seen from behind: the inside of a sleeve, the underside of hair
        normal, inner = (-normal[0], -normal[1], -normal[2]), 0.45
    edge = 1 - max(_dot(normal, view), 0.0)

    kind = material[f]
    canon = three(attributes, corners, weights, CANON)
    colour = three(attributes, corners, weights, COLOUR)
    ambient = one(attributes, corners, weights, AMBIENT) * inner
    wrap, blood, sheen, strand, sleek = 0.3, 0.0, 1.0, 0.0, 0.0
    if kind == SKIN:
        wrap, blood = 0.15, 0.19
        cover = one(attributes, corners, weights, PAINTED)
        if cover > 0.02:
            colour = painted_skin(colour, canon, cover, paint, scene)
    elif kind == EYE:
        colour = eye_colour(colour, canon, scene)
    elif kind == CLOTH:
        wrap, sheen = 0.12, 1.5
    elif kind == HAIR:
        sleek = one(attributes, corners, weights, GLOSS)
        strand = strand_of(canon, sleek, scene)
        tone = strand_tone(strand)
        colour = (colour[0] * tone, colour[1] * tone, colour[2] * tone)

    dot = _dot(normal, scene.key)
    lit = _key_share(place, dot, shadow, scene) * inner
    half = _unit((view[0] + scene.key[0], view[1] + scene.key[1], view[2] + scene.key[2]))
    glow = 0.0
    if kind == HAIR:
        gleam = _hair_gleam(normal, half, strand, scene) * lit * max(dot + 0.3, 0.0) * (0.1 + 0.9 * sleek)
        glow, gleam = gleam * 3, gleam * 0.5
    else:
        gloss = one(attributes, corners, weights, GLOSS)
        gleam = _gleam(kind, _dot(normal, half), edge, gloss) * lit * max(dot, 0.0)
    fill = _wrapped(_dot(normal, scene.fill), 0.4) * (0.4 + 0.6 * ambient)
    rim = max(_dot(normal, scene.rim) + 0.15, 0.0) * edge * edge * (0.3 + 0.7 * ambient) * sheen
    # surfaces seen from the side lie in creases more often than not
    sky = ambient * (1 - 0.25 * edge)
    above = _mix(scene.ground, scene.sky, 0.5 + 0.5 * normal[2])
    left = _contact(1 / total, near, around, scene)
    for c in range(3):
        # blood scatters red around the terminator, and a little into the shadow
        key = _wrapped(dot, wrap + (blood if c == 0 else 0.25 * blood if c == 1 else 0.0))
        key *= lit + (0.5 * blood * (1 - lit) if c == 0 else 0.0)
        light = key * scene.key[3 + c] + fill * scene.fill[3 + c] + sky * above[c] + glow
        edge_light = rim * scene.rim[3 + c] * (0.65 * colour[c] + 0.175)
        out[c] = (colour[c] * light + edge_light + gleam * scene.key[3 + c]) * left


@kernel
def shade(  # type: ignore[no-untyped-def]
    triangle,
    inverse,
    points,
    world,
    triangles,
    material,
    normals,
    attributes,
    paint,
    scene,
    shadow,
    narrow,
    wide,
    background,
    plain,
    tones,
    picture,
):
    """Paint one frame into picture (H, W, 3) uint8.

    triangle, inverse (2H, 2W): what `visible` found; points (N, 3) in sample coordinates; world, normals (N,
    3); attributes (N, ATTRIBUTES); paint (P, Q, 4) linear RGB and cover; scene: a `Scene`; shadow (S, S)
    inverse depth from the key light; narrow (H, W), wide (H / 4, W / 4): mean depths; background (H, W, 3)
    linear and plain, the same as uint8; tones: `tone_curve()`.
    """
    height, width = picture.shape[:2]
    out = np.empty(3)
    wide_height, wide_width = wide.shape
    scale = tones.shape[0] / 2
    for row in range(height):
        for column in range(width):
            top, left = 2 * row, 2 * column
            covered = 0
            first = -1
            same = alone = True
            low, high = np.float32(1e9), np.float32(0)
            for s in range(4):
                f = triangle[top + s // 2, left + s % 2]
                if f >= 0:
                    covered += 1
                    inv = inverse[top + s // 2, left + s % 2]
                    low, high = min(low, inv), max(high, inv)
                    if first < 0:
                        first = f
                    elif f != first:
                        alone = False
                        same = same and material[f] == material[first]
            if covered == 0:
                for c in range(3):
                    picture[row, column, c] = plain[row, column, c]
                continue
            # the wide mean, between its four cells
            gy = min(max((row + 0.5) * wide_height / height - 0.5, 0.0), wide_height - 1.001)
            gx = min(max((column + 0.5) * wide_width / width - 0.5, 0.0), wide_width - 1.001)
            iy, ix = int(gy), int(gx)
            gy, gx = gy - iy, gx - ix
            total_w = total = 0.0
            for s in range(4):
                value = wide[iy + s // 2, ix + s % 2]
                if value > 0:
                    share = (gy if s // 2 else 1 - gy) * (gx if s % 2 else 1 - gx)
                    total += share * value
                    total_w += share
            around = total / total_w if total_w > 1e-6 else 1e9
            near = narrow[row, column]
            r = g = b = 0.0
            smooth = covered == 4 and same and material[first] != EYE and (high - low) < 0.004 * high
            samples = 1 if smooth else 4
            for s in range(samples):
                f = triangle[top + s // 2, left + s % 2]
                if f < 0:
                    r += background[row, column, 0]
                    g += background[row, column, 1]
                    b += background[row, column, 2]
                    continue
                # the middle of a pixel that one triangle fills, else the sample: never outside the triangle
                x = left + 1.0 if smooth and alone else left + s % 2 + 0.5
                y = top + 1.0 if smooth and alone else top + s // 2 + 0.5
                _fragment(
                    f,
                    x,
                    y,
                    near,
                    around,
                    points,
                    world,
                    triangles,
                    material,
                    normals,
                    attributes,
                    paint,
                    scene,
                    shadow,
                    out,
                )
                r += min(out[0], 1.5)
                g += min(out[1], 1.5)
                b += min(out[2], 1.5)
            r, g, b = r / samples, g / samples, b / samples
            picture[row, column, 0] = tones[min(int(r * scale), tones.shape[0] - 1)]
            picture[row, column, 1] = tones[min(int(g * scale), tones.shape[0] - 1)]
            picture[row, column, 2] = tones[min(int(b * scale), tones.shape[0] - 1)]
