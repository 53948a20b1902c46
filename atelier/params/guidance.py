"""GuidanceMethods: the values of a request that shape guidance beyond the CFG scale, all off by default."""

from __future__ import annotations

from types import MappingProxyType

from atelier.params.field import param, part

#: how a scale of dynamic thresholding changes on the way
SCALE_MODES = (
    "Constant", "Linear Down", "Cosine Down", "Half Cosine Down", "Linear Up", "Cosine Up", "Half Cosine Up",
    "Power Up", "Power Down", "Linear Repeating", "Cosine Repeating", "Sawtooth",
)  # fmt: skip


@part("guidance", "Guidance")
class GuidanceMethods:
    rescale: float = param(0.0, label="CFG rescale", minimum=0, maximum=1, step=0.01, api="cfg_rescale",
                           elem="cfg_rescale", infotext="CFG Rescale",
                           help="Takes back the contrast that a high CFG scale adds; 0 is off.")
    pag_scale: float = param(0.0, label="PAG scale", minimum=0, maximum=15, step=0.1, hard=(-100, 100), api="pag_scale",
                             elem="pag_scale", infotext="PAG scale",
                             help="Perturbed attention guidance: away from a guess without structure; 3 is usual.")
    seg_scale: float = param(0.0, label="SEG scale", minimum=0, maximum=15, step=0.1, hard=(-100, 100), api="seg_scale",
                             elem="seg_scale", infotext="SEG scale",
                             help="Smoothed energy guidance: away from a guess with blurred attention; 3 is usual.")
    seg_sigma: float = param(10000.0, label="SEG blur sigma", hard=(0, 1e9), api="seg_sigma",
                             elem="seg_sigma", infotext="SEG blur sigma", help="10000 and more blur completely.")
    layers: str = param("mid", label="Layers of PAG and SEG", api="pag_layers", elem="pag_layers",
                        infotext="PAG layers", max_length=200,
                        help="Blocks of the UNet whose attention is disturbed: mid, down.0 to down.3, up.0 to up.3, "
                             "with commas between.")
    sag_scale: float = param(0.0, label="SAG scale", minimum=0, maximum=5, step=0.05, hard=(-100, 100), api="sag_scale",
                             elem="sag_scale", infotext="SAG Guidance Scale",
                             help="Self-attention guidance: away from a guess of blurred parts; 0.75 is usual.")
    sag_sigma: float = param(2.0, label="SAG blur sigma", minimum=0.1, maximum=10, step=0.1, hard=(0.01, 1000),
                             api="sag_blur_sigma", elem="sag_blur_sigma",
                             infotext="SAG blur sigma", help="How strongly those parts are blurred.")
    sag_threshold: float = param(1.0, label="SAG threshold", minimum=0, maximum=4, step=0.01, hard=(0, 1000),
                                 api="sag_threshold", elem="sag_threshold",
                                 infotext="SAG Mask Threshold", help="Parts that get more attention are blurred.")
    start: float = param(0.0, label="Attention guidance from", minimum=0, maximum=1, step=0.01,
                         api="attention_guidance_start",
                         elem="attention_guidance_start", infotext="Attention guidance start",
                         help="PAG, SEG and SAG begin after this fraction of the steps.")
    end: float = param(1.0, label="Attention guidance until", minimum=0, maximum=1, step=0.01,
                       api="attention_guidance_end", elem="attention_guidance_end",
                       infotext="Attention guidance end", help="PAG, SEG and SAG end after this fraction.")
    freeu: bool = param(False, label="FreeU", api="freeu_enabled", elem="freeu_enabled",
                        infotext="freeu_enabled", help="Weighs backbone and skip connections of the UNet anew.")
    freeu_version: int = param(2, label="FreeU version", choices=(1, 2), api="freeu_version",
                               elem="freeu_version", infotext="freeu_version",
                               help="2 amplifies the backbone where it says much, 1 evenly.")
    freeu_b1: float = param(1.3, label="FreeU B1", minimum=0, maximum=3, step=0.01, hard=(-10, 10), api="freeu_b1",
                            elem="freeu_b1", infotext="freeu_b1",
                            help="Backbone of the widest blocks.")
    freeu_b2: float = param(1.4, label="FreeU B2", minimum=0, maximum=3, step=0.01, hard=(-10, 10), api="freeu_b2",
                            elem="freeu_b2", infotext="freeu_b2",
                            help="Backbone of the blocks of half that width.")
    freeu_s1: float = param(0.9, label="FreeU S1", minimum=0, maximum=3, step=0.01, hard=(-10, 10), api="freeu_s1",
                            elem="freeu_s1", infotext="freeu_s1",
                            help="Coarse shapes in the skip connections of the widest blocks.")
    freeu_s2: float = param(0.2, label="FreeU S2", minimum=0, maximum=3, step=0.01, hard=(-10, 10), api="freeu_s2",
                            elem="freeu_s2", infotext="freeu_s2",
                            help="The same in the blocks of half that width.")
    apg: bool = param(False, label="APG", api="apg_enabled", elem="apg_enabled",
                      infotext="APG enabled",
                      help="Adaptive projected guidance: high CFG scales without oversaturation.")
    apg_eta: float = param(0.0, label="APG eta", minimum=0, maximum=1, step=0.01, hard=(-10, 10), api="apg_eta",
                           elem="apg_eta", infotext="APG eta",
                           help="Share of the part that only saturates; 1 is usual guidance.")
    apg_threshold: float = param(-1.0, label="APG norm threshold", minimum=-1, maximum=50, step=0.5, hard=(-1, 1e6),
                                 api="apg_norm_threshold", elem="apg_norm_threshold", infotext="APG norm threshold",
                                 help="Longest step of guidance; 0 is no limit, -1 follows the size of the picture: "
                                      "7.5 at 512 x 512, 15 at 1024 x 1024.")
    apg_momentum: float = param(-0.75, label="APG momentum", minimum=-1, maximum=1, step=0.01, hard=(-1, 1),
                                api="apg_momentum", elem="apg_momentum", infotext="APG momentum",
                                help="Below 0 steps are led away from those before.")
    threshold: bool = param(False, label="Dynamic thresholding (CFG scale fix)", api="dynthres_enabled",
                            elem="dynthres_enabled", infotext="Dynamic thresholding enabled",
                            help="A high CFG scale with the range of values of a lower one.")
    mimic_scale: float = param(7.0, label="Mimic CFG Scale", minimum=1, maximum=30, step=0.5, hard=(-100, 1000),
                               api="dynthres_mimic_scale", elem="dynthres_mimic_scale",
                               infotext="Mimic scale", help="The CFG scale whose range of values is kept.")
    percentile: float = param(100.0, label="Top percentile of latents to clamp", minimum=90, maximum=100, step=0.05,
                              hard=(0, 100), api="dynthres_threshold_percentile",
                              elem="dynthres_threshold_percentile", infotext="Threshold percentile",
                              help="Values beyond this share of all are cut off.")
    phi: float = param(1.0, label="Interpolate Phi", minimum=0, maximum=1, step=0.01, api="dynthres_interpolate_phi",
                       elem="dynthres_interpolate_phi", infotext="Interpolate Phi",
                       help="0 is guidance without thresholding.")
    mimic_mode: str = param("Constant", label="Mimic Scale Scheduler", choices=SCALE_MODES, api="dynthres_mimic_mode",
                            elem="dynthres_mimic_mode", infotext="Mimic mode",
                            help="How the mimic scale changes on the way.")
    mimic_min: float = param(0.0, label="Minimum value of the Mimic Scale Scheduler", minimum=0, maximum=30, step=0.5,
                             hard=(-100, 1000), api="dynthres_mimic_scale_min",
                             elem="dynthres_mimic_scale_min", infotext="Mimic scale minimum",
                             help="Where its schedule ends or begins.")
    cfg_mode: str = param("Constant", label="CFG Scale Scheduler", choices=SCALE_MODES, api="dynthres_cfg_mode",
                          elem="dynthres_cfg_mode", infotext="CFG mode",
                          help="How the CFG scale changes on the way.")
    cfg_min: float = param(0.0, label="Minimum value of the CFG Scale Scheduler", minimum=0, maximum=30, step=0.5,
                           hard=(-100, 1000), api="dynthres_cfg_scale_min",
                           elem="dynthres_cfg_scale_min", infotext="CFG scale minimum",
                           help="Where its schedule ends or begins.")
    mode_value: float = param(4.0, label="Scheduler Value", minimum=0, maximum=40, step=0.5, hard=(0, 1000),
                              api="dynthres_sched_val", elem="dynthres_sched_val",
                              infotext="Scheduler value", help="The power, or the number of repeats.")
    separate: bool = param(True, label="Separate Feature Channels", api="dynthres_separate_feature_channels",
                           elem="dynthres_separate_feature_channels",
                           infotext="Separate Feature Channels", help="Each channel of the latents for itself.")
    startpoint: str = param("MEAN", label="Scaling Startpoint", choices=("MEAN", "ZERO"),
                            api="dynthres_scaling_startpoint",
                            elem="dynthres_scaling_startpoint", infotext="Scaling Startpoint",
                            help="Around what values are scaled.")
    variability: str = param("AD", label="Variability Measure", choices=("AD", "STD"),
                             api="dynthres_variability_measure",
                             elem="dynthres_variability_measure", infotext="Variability Measure",
                             help="AD: the largest deviation; STD: the standard deviation.")  # fmt: skip

    def told(self, name: str) -> bool:
        """Whether a value has an effect, and so belongs into infotext."""
        if name in SWITCHES:
            return bool(getattr(self, name))
        if name in ("start", "end"):
            attends = self.pag_scale or self.seg_scale or self.sag_scale
            return bool(attends) and getattr(self, name) != (name == "end")
        if name == "layers":
            return bool(self.pag_scale or self.seg_scale)
        if name in ("mimic_min", "cfg_min", "mode_value"):
            modes = {"mimic_min": (self.mimic_mode,), "cfg_min": (self.cfg_mode,)}
            return self.threshold and set(modes.get(name, (self.mimic_mode, self.cfg_mode))) != {"Constant"}
        return bool(getattr(self, MASTERS[name]))


#: the values that put a method into force; all of them off is guidance as A1111 has it
SWITCHES = ("rescale", "pag_scale", "seg_scale", "sag_scale", "freeu", "apg", "threshold")
#: which of them the other values belong to
MASTERS = MappingProxyType({
    "seg_sigma": "seg_scale", "sag_sigma": "sag_scale", "sag_threshold": "sag_scale", "freeu_version": "freeu",
    "freeu_b1": "freeu", "freeu_b2": "freeu", "freeu_s1": "freeu", "freeu_s2": "freeu", "apg_eta": "apg",
    "apg_threshold": "apg", "apg_momentum": "apg", "mimic_scale": "threshold", "percentile": "threshold",
    "phi": "threshold", "mimic_mode": "threshold", "cfg_mode": "threshold", "separate": "threshold",
    "startpoint": "threshold", "variability": "threshold",
})  # fmt: skip
