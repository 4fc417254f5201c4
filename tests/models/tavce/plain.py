"""TAVCE's published networks, layer by layer, over tensors with the published names. For tests, at the size `TINY`."""

import torch
import torch.nn.functional as F

from tests.models.tavce.tiny import TINY


def plain_grid(depth, height, width):
    grid = torch.zeros(depth, height, width, 3)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                at = (x / (width - 1), y / (height - 1), z / (depth - 1))
                grid[z, y, x] = torch.tensor([2 * part - 1 for part in at])
    return grid


class Plain:
    def __init__(self, weights):
        self.weights = weights

    def conv(self, x, name, how=F.conv2d, **options):
        return how(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"), **options)

    def norm(self, x, name):
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.weights[f"{name}.{part}"] for part in parts))

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def same(self, x, name, how=F.conv2d):
        return F.relu(self.norm(self.conv(x, f"{name}.conv", how, padding=1), f"{name}.norm"))

    def spectral(self, x, name, **options):
        """A convolution under the old spectral norm, as it computes when not training."""
        orig, u, v = (self.weights[f"{name}.weight_{part}"] for part in ("orig", "u", "v"))
        sigma = torch.dot(u, torch.mv(orig.reshape(len(orig), -1), v))
        return F.conv2d(x, orig / sigma, self.weights.get(f"{name}.bias"), **options)

    def spade(self, x, told, name):
        told = F.interpolate(told, size=x.shape[2:], mode="nearest")
        hidden = F.relu(self.conv(told, f"{name}.mlp_shared.0", padding=1))
        scale, shift = (self.conv(hidden, f"{name}.mlp_{part}", padding=1) for part in ("gamma", "beta"))
        centred = x - x.mean((2, 3), keepdim=True)
        scaled = centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
        return scaled * (1 + scale) + shift

    def block(self, x, told, name):
        y = self.spectral(F.leaky_relu(self.spade(x, told, f"{name}.norm_0"), 0.2), f"{name}.conv_0", padding=1)
        y = self.spectral(F.leaky_relu(self.spade(y, told, f"{name}.norm_1"), 0.2), f"{name}.conv_1", padding=1)
        if f"{name}.conv_s.weight_orig" in self.weights:
            x = self.spectral(self.spade(x, told, f"{name}.norm_s"), f"{name}.conv_s")
        return x + y

    def decode(self, features):
        x = self.conv(features, "generator.decoder.fc", padding=1)
        for number in range(TINY.spade_blocks):
            x = self.block(x, features, f"generator.decoder.G_middle_{number}")
        for number in range(2):
            x = self.block(F.interpolate(x, scale_factor=2.0), features, f"generator.decoder.up_{number}")
        return self.conv(F.leaky_relu(x, 0.2), "generator.decoder.conv_img", padding=1).sigmoid()

    def motion(self, volume, driving, source):
        name = "generator.dense_motion_network"
        batch, _, depth, height, width = volume.shape
        grid = plain_grid(depth, height, width)
        small = F.relu(self.norm(self.conv(volume, f"{name}.compress", F.conv3d), f"{name}.norm"))
        motions, parts = [grid.expand(batch, -1, -1, -1, -1)], []
        heats = [torch.zeros(batch, 1, depth, height, width)]
        for k in range(TINY.keypoints):
            at, come = driving[:, k, None, None, None], source[:, k, None, None, None]
            motions.append(grid - at + come)
            heat = [torch.exp(-0.5 * (grid - point).square().sum(-1) / 0.01) for point in (at, come)]
            heats.append((heat[0] - heat[1])[:, None])
        for heat, motion in zip(heats, motions, strict=True):
            parts += [heat, F.grid_sample(small, motion, align_corners=False)]
        x = self.hourglass(torch.cat(parts, 1), f"{name}.hourglass")
        shares = self.conv(x, f"{name}.mask", F.conv3d, padding=3).softmax(1)
        shares = shares * (shares >= 1e-3)
        back = sum(shares[:, k, ..., None] * motion for k, motion in enumerate(motions))
        occlusion = self.conv(x.reshape(batch, -1, height, width), f"{name}.occlusion", padding=3).sigmoid()
        return back, occlusion

    def hourglass(self, x, name):
        before = [x]
        for number in range(TINY.motion[2]):
            y = self.same(before[-1], f"{name}.encoder.down_blocks.{number}", F.conv3d)
            before.append(F.avg_pool3d(y, (1, 2, 2)))
        x = before.pop()
        for number in range(TINY.motion[2]):
            x = F.interpolate(x, scale_factor=(1, 2, 2))
            x = torch.cat([self.same(x, f"{name}.decoder.up_blocks.{number}", F.conv3d), before.pop()], 1)
        return self.same(x, f"{name}.decoder", F.conv3d)

    def generate(self, photo, before, now, driving, source):
        """The renderer with its gate as matrices; `before` and `now` are features of sound, or None for SadTalker."""
        x = self.same(photo, "generator.first")
        for number in range(2):
            x = F.avg_pool2d(self.same(x, f"generator.down_blocks.{number}"), 2)
        x = self.conv(x, "generator.second")
        if now is not None:
            rows = torch.stack([before, now], 1)
            rows = rows - rows.mean(1, keepdim=True)
            matrix = F.normalize(torch.bmm(rows.transpose(1, 2), rows), dim=-1)
            weighed = torch.einsum("bcc,bchw->bchw", matrix, self.conv(x, "generator.proj1"))
            x = self.conv(x + self.conv(weighed, "generator.proj2"), "generator.linear")
        volume = x.view(len(x), *TINY.volume, *x.shape[2:])
        for number in range(TINY.volume_blocks):
            name = f"generator.resblocks_3d.3dr{number}"
            y = self.conv(F.relu(self.norm(volume, f"{name}.norm1")), f"{name}.conv1", F.conv3d, padding=1)
            y = self.conv(F.relu(self.norm(y, f"{name}.norm2")), f"{name}.conv2", F.conv3d, padding=1)
            volume = volume + y
        back, occlusion = self.motion(volume, driving, source)
        x = F.grid_sample(volume, back, align_corners=False)
        x = self.conv(x.reshape(len(x), -1, *x.shape[3:]), "generator.third.conv", padding=1)
        x = self.conv(F.leaky_relu(self.norm(x, "generator.third.norm"), 0.01), "generator.fourth")
        return self.decode(x * occlusion)

    def keypoints(self, face):
        line = torch.exp(-((torch.arange(13.0) - 6) ** 2) / (2 * 1.5**2))
        kernel = torch.outer(line, line) / torch.outer(line, line).sum()
        x = F.conv2d(F.pad(face, (6, 6, 6, 6)), kernel.repeat(3, 1, 1, 1), groups=3)[:, :, ::4, ::4]
        for number in range(TINY.detector[2]):
            x = F.avg_pool2d(self.same(x, f"kp.predictor.down_blocks.down{number}"), 2)
        x = self.conv(x, "kp.predictor.conv")
        x = x.view(len(x), -1, TINY.detector_depth, *x.shape[2:])
        for number in range(TINY.detector[2]):
            x = self.same(F.interpolate(x, scale_factor=(1, 2, 2)), f"kp.predictor.up_blocks.up{number}", F.conv3d)
        maps = self.conv(x, "kp.kp", F.conv3d, padding=1)
        shares = (maps.reshape(*maps.shape[:2], -1) / 0.1).softmax(2).view_as(maps)
        return (shares[..., None] * plain_grid(*maps.shape[2:])).sum((2, 3, 4))

    def map(self, coefficients):
        """Yaw, pitch, roll in degrees, translation, expression."""
        x = self.conv(coefficients, "mapping.first.0", F.conv1d)
        for number in range(3):
            y = self.conv(F.leaky_relu(x, 0.1), f"mapping.encoder{number}.1", F.conv1d, dilation=3)
            x = y + x[:, :, 3:-3]
        x = x.mean(-1)
        bins = torch.arange(66.0)
        angles = [
            (self.linear(x, f"mapping.fc_{name}").softmax(1) * bins).sum(1) * 3 - 99
            for name in ("yaw", "pitch", "roll")
        ]
        return *angles, self.linear(x, "mapping.fc_t"), self.linear(x, "mapping.fc_exp")

    def place(self, points, stance):
        """Key points turned, shifted, displaced, one person at a time."""
        placed = []
        for person, yaw, pitch, roll, shift, expression in zip(points, *stance, strict=True):
            a, b, c = (float(angle) / 180 * 3.14 for angle in (pitch, yaw, roll))
            cos, sin = (lambda v: torch.tensor(v).cos().item()), (lambda v: torch.tensor(v).sin().item())
            tilt = torch.tensor([[1, 0, 0], [0, cos(a), -sin(a)], [0, sin(a), cos(a)]])
            turn = torch.tensor([[cos(b), 0, sin(b)], [0, 1, 0], [-sin(b), 0, cos(b)]])
            lean = torch.tensor([[cos(c), -sin(c), 0], [sin(c), cos(c), 0], [0, 0, 1]])
            turned = person @ (tilt @ turn @ lean).T
            placed.append(turned + torch.tensor([0.0, shift[1].item(), 0.0]) + expression.view(-1, 3))
        return torch.stack(placed)

    def trunk(self, window, name):
        strides = [1, 1, 1, (3, 1), 1, 1, 3, 1, 1, (3, 2), 1, 1, 1]
        x = window
        for number, stride in enumerate(strides):
            block = f"{name}.{number}.conv_block"
            y = self.norm(self.conv(x, f"{block}.0", stride=stride, padding=0 if number > 10 else 1), f"{block}.1")
            x = F.relu(y + x if number in (1, 2, 4, 5, 7, 8, 10) else y)
        return x.flatten(1)

    def expression(self, window, reference, blink):
        heard = self.trunk(window, "exp.audio_encoder")
        return self.linear(torch.cat([heard, reference, blink[:, None]], 1), "exp.mapping1")

    def sound(self, window):
        return self.linear(self.trunk(window, "sound.audio_encoder"), "sound.fc")

    def unet(self, x, name):
        def residual(x, name, stride):
            y = self.conv(
                F.relu(self.norm(x, f"{name}.conv_block.0")), f"{name}.conv_block.2", stride=stride, padding=1
            )
            y = self.conv(F.relu(self.norm(y, f"{name}.conv_block.3")), f"{name}.conv_block.5", padding=1)
            return y + self.norm(self.conv(x, f"{name}.conv_skip.0", stride=stride, padding=1), f"{name}.conv_skip.1")

        x = x[:, None]
        y = F.relu(self.norm(self.conv(x, f"{name}.input_layer.0", padding=1), f"{name}.input_layer.1"))
        x1 = self.conv(y, f"{name}.input_layer.3", padding=1) + self.conv(x, f"{name}.input_skip.0", padding=1)
        x2 = residual(x1, f"{name}.residual_conv_1", (2, 1))
        x3 = residual(x2, f"{name}.residual_conv_2", (2, 1))
        x = residual(x3, f"{name}.bridge", (2, 1))
        for number, skip in ((1, x3), (2, x2), (3, x1)):
            x = self.conv(x, f"{name}.upsample_{number}.upsample", F.conv_transpose2d, stride=(2, 1))
            x = residual(torch.cat([x, skip], 1), f"{name}.up_residual_conv{number}", 1)
        return self.conv(x, f"{name}.output_layer.0").sigmoid()[:, 0]

    def pose(self, windows, reference, style, code):
        heard = self.trunk(windows.reshape(-1, 1, 80, 16), "pose.audio_encoder.audio_encoder")
        name = "pose.netG.decoder"
        sound = self.linear(heard, f"{name}.linear_audio").view(len(reference), -1)
        x = torch.cat([reference, code + self.weights[f"{name}.classbias"][style], sound], 1)
        x = self.linear(F.relu(self.linear(x, f"{name}.MLP.L0")), f"{name}.MLP.L1").sigmoid()
        moved = self.linear(self.unet(x.view(-1, 32, 6), f"{name}.resunet"), f"{name}.pose_linear")
        return reference[:, None] + moved

    def pose_code(self, motion, reference, windows, style):
        heard = self.trunk(windows.reshape(-1, 1, 80, 16), "pose.audio_encoder.audio_encoder")
        name = "pose.netG.encoder"
        parts = [
            *(reference, self.unet(motion, f"{name}.resunet").reshape(len(reference), -1)),
            *(self.linear(heard, f"{name}.linear_audio").view(len(reference), -1),),
            self.weights[f"{name}.classbias"][style],
        ]
        return self.linear(F.relu(self.linear(torch.cat(parts, 1), f"{name}.MLP.L0")), f"{name}.linear_means")
