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

from stable_signer.pose2vid.kernels import inlined, kernel

SKIN, EYE, TONGUE, TEETH, CLOTH, HAIR = range(6)  # what a triangle is made of
# Columns of the vertex attributes.
CANON, COLOUR, AMBIENT, PAINTED, GLOSS, ATTRIBUTES = 0, 3, 6, 7, 8, 9
SHADOW = 0.55  # of the key light that a shadow takes: a darker one looks like a second hand
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


@kernel
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


@inlined
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


@inlined
def _fragment(  # type: ignore[no-untyped-def]
    f, x, y, near, wide, points, world, triangles, material, normals, attributes, paint, scene, shadow, out
):
    """Colour of the point of triangle f at sample (x, y) -> out (3,) linear RGB. scene: a `Scene`."""
    i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
    ax, ay, bx, by, cx, cy = (
        points[i, 0],
        points[i, 1],
        points[j, 0],
        points[j, 1],
        points[k, 0],
        points[k, 1],
    )
    u = (cx - bx) * (y - by) - (cy - by) * (x - bx)
    v = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
    w = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    area = u + v + w
    u, v, w = (
        max(u / area, 0.0) / points[i, 2],
        max(v / area, 0.0) / points[j, 2],
        max(w / area, 0.0) / points[k, 2],
    )
    total = u + v + w
    u, v, w = u / total, v / total, w / total
    depth = u * points[i, 2] + v * points[j, 2] + w * points[k, 2]
    px = u * world[i, 0] + v * world[j, 0] + w * world[k, 0]
    py = u * world[i, 1] + v * world[j, 1] + w * world[k, 1]
    pz = u * world[i, 2] + v * world[j, 2] + w * world[k, 2]
    nx = u * normals[i, 0] + v * normals[j, 0] + w * normals[k, 0]
    ny = u * normals[i, 1] + v * normals[j, 1] + w * normals[k, 1]
    nz = u * normals[i, 2] + v * normals[j, 2] + w * normals[k, 2]
    length = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-20)
    nx, ny, nz = nx * length, ny * length, nz * length
    vx, vy, vz = scene.camera[0] - px, scene.camera[1] - py, scene.camera[2] - pz  # towards the camera
    length = 1 / np.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx * length, vy * length, vz * length
    facing = nx * vx + ny * vy + nz * vz
    kind = material[f]
    inner = 1.0
    if area > 0:  # seen from behind: the inside of a sleeve, the underside of hair
        nx, ny, nz, facing, inner = -nx, -ny, -nz, -facing, 0.45
    facing = max(facing, 0.0)
    qx = u * attributes[i, 0] + v * attributes[j, 0] + w * attributes[k, 0]
    qy = u * attributes[i, 1] + v * attributes[j, 1] + w * attributes[k, 1]
    qz = u * attributes[i, 2] + v * attributes[j, 2] + w * attributes[k, 2]
    red = u * attributes[i, 3] + v * attributes[j, 3] + w * attributes[k, 3]
    green = u * attributes[i, 4] + v * attributes[j, 4] + w * attributes[k, 4]
    blue = u * attributes[i, 5] + v * attributes[j, 5] + w * attributes[k, 5]
    ambient = u * attributes[i, 6] + v * attributes[j, 6] + w * attributes[k, 6]
    painted = u * attributes[i, 7] + v * attributes[j, 7] + w * attributes[k, 7]
    gloss = u * attributes[i, 8] + v * attributes[j, 8] + w * attributes[k, 8]

    # Surfaces
    wrap_r = wrap_g = wrap_b = 0.0
    shine, sheen = gloss, 0.0
    if kind == SKIN:
        wrap_r, wrap_g, wrap_b = 0.34, 0.20, 0.15
        if painted > 0.02:
            s = (qx - scene.face_map[0]) * scene.face_map[2]
            t = (scene.face_map[1] - qz) * scene.face_map[2]
            column, row = int(s), int(t)
            if 0 <= column < paint.shape[1] - 1 and 0 <= row < paint.shape[0] - 1 and s > 0 and t > 0:
                s, t = s - column, t - row
                w00, w01, w10, w11 = (1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t
                alpha = (
                    w00 * paint[row, column, 3]
                    + w01 * paint[row, column + 1, 3]
                    + w10 * paint[row + 1, column, 3]
                    + w11 * paint[row + 1, column + 1, 3]
                ) * painted
                if alpha > 0:
                    r = (
                        w00 * paint[row, column, 0]
                        + w01 * paint[row, column + 1, 0]
                        + w10 * paint[row + 1, column, 0]
                        + w11 * paint[row + 1, column + 1, 0]
                    )
                    g = (
                        w00 * paint[row, column, 1]
                        + w01 * paint[row, column + 1, 1]
                        + w10 * paint[row + 1, column, 1]
                        + w11 * paint[row + 1, column + 1, 1]
                    )
                    b = (
                        w00 * paint[row, column, 2]
                        + w01 * paint[row, column + 1, 2]
                        + w10 * paint[row + 1, column, 2]
                        + w11 * paint[row + 1, column + 1, 2]
                    )
                    red, green, blue = (
                        red + (r - red) * alpha,
                        green + (g - green) * alpha,
                        blue + (b - blue) * alpha,
                    )
    elif kind == EYE:
        ex, ez = abs(qx) - scene.eye[0], qz - scene.eye[2]
        radius = np.sqrt(ex * ex + ez * ez) / scene.iris[3]  # 1 at the iris's edge
        wrap_r = wrap_g = wrap_b = 0.4
        if qy < scene.eye[1] and radius < 1.12:
            edge = min(max((1.12 - radius) / 0.2, 0.0), 1.0)
            inside = min(max((0.43 - radius) / 0.12, 0.0), 1.0)  # the pupil
            tone = 0.62 + 0.75 * radius * (1 - radius) * 2 - (0.5 if radius > 0.85 else 0.0)
            r, g, b = scene.iris[0] * tone, scene.iris[1] * tone, scene.iris[2] * tone
            r, g, b = (
                r * (1 - inside) + 0.008 * inside,
                g * (1 - inside) + 0.007 * inside,
                b * (1 - inside) + 0.007 * inside,
            )
            red, green, blue = red + (r - red) * edge, green + (g - green) * edge, blue + (b - blue) * edge
        shine = 1.6
    elif kind == CLOTH:
        wrap_r = wrap_g = wrap_b = 0.12
        sheen = 0.5
    elif kind == HAIR:
        wrap_r = wrap_g = wrap_b = 0.25
    elif kind in (TEETH, TONGUE):
        wrap_r = wrap_g = wrap_b = 0.3
    # Contact: how far the point lies behind its surroundings
    narrow_gap = max(depth - near - scene.contact[0], 0.0)
    narrow_gap = narrow_gap / (narrow_gap + scene.contact[1])
    wide_gap = min(max((depth - wide - scene.contact[2]) * scene.contact[3], 0.0), 1.0)
    contact = (1 - scene.contact[4] * narrow_gap) * (1 - scene.contact[5] * wide_gap)
    ambient *= inner

    # Light
    dot = nx * scene.key[0] + ny * scene.key[1] + nz * scene.key[2]
    lit = 1.0
    if dot > -0.35:
        sx = (px * scene.across[0] + py * scene.across[1] + pz * scene.across[2]) * scene.shadow_map[
            0
        ] + scene.shadow_map[1]
        sy = (px * scene.upward[0] + py * scene.upward[1] + pz * scene.upward[2]) * -scene.shadow_map[
            0
        ] + scene.shadow_map[2]
        sd = scene.shadow_map[3] - (px * scene.key[0] + py * scene.key[1] + pz * scene.key[2])
        lit = _lit_share(shadow, sx, sy, sd, 0.015 + 0.025 * (1 - max(dot, 0.0)))
        lit = 1 - SHADOW * (1 - lit)
    lit *= inner
    key_r = max((dot + wrap_r) / (1 + wrap_r), 0.0) * (lit + 0.10 * (1 - lit) * (kind == SKIN))
    key_g = max((dot + wrap_g) / (1 + wrap_g), 0.0) * lit
    key_b = max((dot + wrap_b) / (1 + wrap_b), 0.0) * lit
    fill = max((nx * scene.fill[0] + ny * scene.fill[1] + nz * scene.fill[2] + 0.4) / 1.4, 0.0) * (
        0.4 + 0.6 * ambient
    )
    edge = 1 - facing
    edge2 = edge * edge
    rim = (
        max(nx * scene.rim[0] + ny * scene.rim[1] + nz * scene.rim[2] + 0.15, 0.0)
        * edge2
        * (0.3 + 0.7 * ambient)
    )
    up = 0.5 + 0.5 * nz
    open_sky = ambient * (
        0.75 + 0.25 * facing
    )  # surfaces seen from the side lie in creases more often than not
    light_r = (
        key_r * scene.key[3]
        + fill * scene.fill[3]
        + open_sky * (scene.ground[0] + (scene.sky[0] - scene.ground[0]) * up)
    )
    light_g = (
        key_g * scene.key[4]
        + fill * scene.fill[4]
        + open_sky * (scene.ground[1] + (scene.sky[1] - scene.ground[1]) * up)
    )
    light_b = (
        key_b * scene.key[5]
        + fill * scene.fill[5]
        + open_sky * (scene.ground[2] + (scene.sky[2] - scene.ground[2]) * up)
    )

    hx, hy, hz = vx + scene.key[0], vy + scene.key[1], vz + scene.key[2]
    length = 1 / np.sqrt(hx * hx + hy * hy + hz * hz)
    half = (nx * hx + ny * hy + nz * hz) * length
    gleam = 0.0
    if kind == HAIR:
        # Kajiya and Kay 1989: the strands run down and back over the head
        along = -(nx * scene.strands[0] + ny * scene.strands[1] + nz * scene.strands[2])
        tx, ty, tz = (
            scene.strands[0] + along * nx,
            scene.strands[1] + along * ny,
            scene.strands[2] + along * nz,
        )
        length = 1 / np.sqrt(tx * tx + ty * ty + tz * tz + 1e-9)
        angle = np.arctan2(qx - scene.head[0], scene.head[1] - qy)
        strand = (
            _noise(angle * scene.head[3]) * 0.6 + _noise(angle * scene.head[3] * 2.7 + 31 + qz * 25) * 0.4
        )
        across = (tx * hx + ty * hy + tz * hz) * length / np.sqrt(hx * hx + hy * hy + hz * hz) + 0.22 * (
            strand - 0.5
        )
        across = max(1 - across * across, 0.0)
        across = across * across
        across = across * across
        across = across * across
        gleam = across * across * lit * 0.10 * (0.4 + strand) * max(dot + 0.3, 0.0)
        tone = 0.62 + 0.76 * strand
        red, green, blue = red * tone, green * tone, blue * tone
        light_r, light_g, light_b = light_r + gleam * 3, light_g + gleam * 3, light_b + gleam * 3
        gleam *= 0.5
    elif half > 0 and shine > 0:
        half2 = half * half
        half4 = half2 * half2
        half8 = half4 * half4
        half16 = half8 * half8
        if kind == EYE:
            gleam = half16 * half16 * half16 * half16 * half16 * shine * lit * max(dot + 0.1, 0.0)
        else:  # two lobes and more towards the edge (Fresnel)
            gleam = (0.6 * half16 * half8 + 0.25 * half8 + 0.25 * edge2 * edge2) * shine * lit * max(dot, 0.0)
    rim *= 1.0 + sheen
    rim_tint = 0.35
    out[0] = (
        red * light_r + rim * scene.rim[3] * (red * (1 - rim_tint) + rim_tint * 0.5) + gleam * scene.key[3]
    ) * contact
    out[1] = (
        green * light_g
        + rim * scene.rim[4] * (green * (1 - rim_tint) + rim_tint * 0.5)
        + gleam * scene.key[4]
    ) * contact
    out[2] = (
        blue * light_b + rim * scene.rim[5] * (blue * (1 - rim_tint) + rim_tint * 0.5) + gleam * scene.key[5]
    ) * contact


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
            same = True
            low, high = np.float32(1e9), np.float32(0)
            for s in range(4):
                f = triangle[top + s // 2, left + s % 2]
                if f >= 0:
                    covered += 1
                    inv = inverse[top + s // 2, left + s % 2]
                    low, high = min(low, inv), max(high, inv)
                    if first < 0:
                        first = f
                    elif material[f] != material[first]:
                        same = False
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
                x = left + 1.0 if smooth else left + s % 2 + 0.5
                y = top + 1.0 if smooth else top + s // 2 + 0.5
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
