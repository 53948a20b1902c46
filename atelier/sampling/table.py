"""The samplers and schedules that the program brings: names, aliases and marks, in the order that users see."""

from __future__ import annotations

from atelier.base.registry import Registry
from atelier.sampling import schedules
from atelier.sampling.entry import Sampler, Schedule
from atelier.sampling.samplers import (
    adams,
    cfgpp,
    ddim,
    dpm,
    euler,
    exponential,
    gradient,
    lcm,
    multistep,
    restart,
    seeds,
    solver,
    stochastic,
    tcd,
    unipc,
)

AUTOMATIC = "automatic"
CONSISTENCY = Schedule("lcm", "LCM", schedules.consistency, need_inner_model=True)
TRAJECTORY = Schedule("tcd", "TCD", schedules.trajectory, need_inner_model=True)
FIRST_SAMPLER = "DPM++ 2M"


def default_schedules() -> Registry[Schedule]:
    registry: Registry[Schedule] = Registry("schedule")
    for entry in (
        Schedule(AUTOMATIC, "Automatic", None),
        Schedule("uniform", "Uniform", schedules.uniform, need_inner_model=True),
        Schedule("karras", "Karras", schedules.karras, default_rho=7.0),
        Schedule("exponential", "Exponential", schedules.exponential),
        Schedule("polyexponential", "Polyexponential", schedules.polyexponential, default_rho=1.0),
        Schedule("sgm_uniform", "SGM Uniform", schedules.sgm_uniform, ("SGMUniform",), need_inner_model=True),
        Schedule("kl_optimal", "KL Optimal", schedules.kl_optimal),
        Schedule("align_your_steps", "Align Your Steps", schedules.align_your_steps, ("AYS",), takes=("table",)),
        Schedule("simple", "Simple", schedules.simple, need_inner_model=True),
        Schedule("normal", "Normal", schedules.normal, need_inner_model=True),
        Schedule("ddim", "DDIM", schedules.ddim, ("ddim_uniform",), need_inner_model=True),
        Schedule("beta", "Beta", schedules.beta, takes=("alpha", "beta")),
        *_further_schedules(),
    ):
        registry.add(entry.name, entry, (entry.label, *entry.aliases))
    return registry


def _further_schedules() -> tuple[Schedule, ...]:
    """Those that Forge, ComfyUI and SD.Next have and A1111 has not."""
    aligned = schedules.align_your_steps
    return (
        Schedule("turbo", "Turbo", schedules.turbo, ("trailing",), need_inner_model=True),
        Schedule("align_your_steps_11", "Align Your Steps 11", aligned, ("AYS 11",), takes=("table",)),
        Schedule("align_your_steps_32", "Align Your Steps 32", schedules.align_your_steps_32, ("AYS 32",),
                 takes=("table",)),
        Schedule("align_your_steps_GITS", "Align Your Steps GITS", schedules.gits, ("AYS GITS", "gits"),
                 takes=("table",)),
        Schedule("linear_quadratic", "Linear Quadratic", schedules.linear_quadratic),
        Schedule("beta57", "Beta57", schedules.beta57, need_inner_model=True),
        Schedule("bong_tangent", "Bong Tangent", schedules.bong_tangent),
        Schedule("laplace", "Laplace", schedules.laplace),
    )  # fmt: skip


def default_samplers() -> Registry[Sampler]:
    """In the order of the list that users see; the first is the default. Those of A1111 come before all others."""
    registry: Registry[Sampler] = Registry("sampler")
    own = (*_log_sigma_samplers(), *_slope_samplers(), *_timestep_samplers())
    for entry in (*own, *_further_samplers(), *_stochastic_samplers(), *_cfgpp_samplers()):
        registry.add(entry.name, entry, entry.aliases)
    return registry


def _log_sigma_samplers() -> tuple[Sampler, ...]:
    fresh = ("eta", "s_noise")
    return (
        Sampler(FIRST_SAMPLER, multistep.dpmpp_2m, ("k_dpmpp_2m", "dpmpp_2m"), schedule="karras"),
        Sampler(
            "DPM++ SDE", dpm.dpmpp_sde, ("k_dpmpp_sde", "dpmpp_sde", "dpmpp_sde_gpu", "DPM SDE"),
            schedule="karras", accepts=fresh, second_order=True, brownian=True,
        ),
        Sampler(
            "DPM++ 2M SDE", multistep.dpmpp_2m_sde, ("k_dpmpp_2m_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu"),
            schedule="exponential", accepts=fresh, brownian=True,
        ),
        Sampler(
            "DPM++ 2M SDE Heun", multistep.dpmpp_2m_sde_heun,
            ("k_dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu"),
            schedule="exponential", accepts=fresh, brownian=True, extra={"solver_type": "heun"},
        ),
        Sampler(
            "DPM++ 2S a", dpm.dpmpp_2s_ancestral, ("k_dpmpp_2s_a", "dpmpp_2s_ancestral", "dpmpp_2s_a"),
            schedule="karras", accepts=fresh, second_order=True, uses_ensd=True,
        ),
        Sampler(
            "DPM++ 3M SDE", multistep.dpmpp_3m_sde, ("k_dpmpp_3m_sde", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
            schedule="exponential", accepts=fresh, brownian=True, discard_next_to_last=True,
        ),
    )  # fmt: skip


def _slope_samplers() -> tuple[Sampler, ...]:
    fresh = ("eta", "s_noise")
    return (
        Sampler(
            "Euler a", euler.euler_ancestral, ("k_euler_a", "k_euler_ancestral", "euler_ancestral", "euler_a"),
            accepts=fresh, uses_ensd=True,
        ),
        Sampler("Euler", euler.euler, ("k_euler",), accepts=("churn",)),
        Sampler("LMS", multistep.lms, ("k_lms",)),
        Sampler("Heun", euler.heun, ("k_heun",), accepts=("churn",), second_order=True),
        Sampler(
            "DPM2", dpm.dpm_2, ("k_dpm_2", "dpm_2", "kdpm_2"),
            schedule="karras", accepts=("churn",), second_order=True, discard_next_to_last=True,
        ),
        Sampler(
            "DPM2 a", dpm.dpm_2_ancestral, ("k_dpm_2_a", "dpm_2_ancestral", "kdpm_2_a"),
            schedule="karras", accepts=fresh, second_order=True, uses_ensd=True, discard_next_to_last=True,
        ),
        Sampler("DPM fast", solver.dpm_fast, ("k_dpm_fast", "dpm_fast"), kind="own", accepts=fresh, uses_ensd=True),
        Sampler(
            "DPM adaptive", solver.dpm_adaptive, ("k_dpm_ad", "dpm_adaptive"),
            kind="own", accepts=("eta",), uses_ensd=True,
        ),
        Sampler(
            "Restart", restart.restart, ("restart",), schedule="karras", accepts=("s_noise",), second_order=True
        ),
    )  # fmt: skip


def _timestep_samplers() -> tuple[Sampler, ...]:
    return (
        Sampler("DDIM", ddim.ddim, ("ddim",), kind="timestep", accepts=("eta",)),
        Sampler(
            "DDIM CFG++", ddim.ddim_cfgpp, ("ddim_cfgpp",),
            kind="timestep", accepts=("eta",), needs_uncond=True, cfg_multiplier=1 / 12.5,
        ),
        Sampler("PLMS", ddim.plms, ("plms", "PNDM"), kind="timestep"),
        Sampler("UniPC", unipc.unipc, ("unipc", "uni_pc"), kind="timestep", accepts=("options",)),
        Sampler("LCM", lcm.lcm, ("k_lcm",), own=CONSISTENCY, consistency=True),
    )  # fmt: skip


def _further_samplers() -> tuple[Sampler, ...]:
    return (
        Sampler("TCD", tcd.tcd, ("tcd",), own=TRAJECTORY, accepts=("gamma", "prediction"), uses_ensd=True),
        Sampler("HeunPP2", euler.heunpp2, ("Heun++",), accepts=("churn",), second_order=True, calls=3),
        Sampler("IPNDM", adams.ipndm),
        Sampler("IPNDM_V", adams.ipndm_v),
        Sampler("DEIS", adams.deis),
        Sampler("Res Multistep", exponential.res_multistep, ("res_multistep",), schedule="karras"),
        Sampler("Gradient Estimation", gradient.gradient_estimation, ("gradient_estimation",)),
        Sampler("Exp Heun 2 x0", exponential.exp_heun, ("exp_heun_2_x0",), schedule="karras", second_order=True),
        Sampler(
            "UniPC BH2", unipc.unipc, ("uni_pc_bh2",),
            kind="timestep", accepts=("options",), extra={"solver_type": "bh2"},
        ),
    )  # fmt: skip


def _stochastic_samplers() -> tuple[Sampler, ...]:
    fresh = ("eta", "s_noise")
    return (
        Sampler("DDPM", stochastic.ddpm, accepts=("s_noise",)),
        Sampler("ER SDE", stochastic.er_sde, ("er_sde", "ER-SDE"), accepts=("s_noise",)),
        Sampler(
            "SA-Solver", stochastic.sa_solver, ("sa_solver", "SA Solver"), schedule="karras", accepts=fresh
        ),
        Sampler(
            "SA-Solver PECE", stochastic.sa_solver_pece, ("sa_solver_pece",),
            schedule="karras", accepts=fresh, second_order=True,
        ),
        Sampler("SEEDS 2", seeds.seeds_2, ("seeds_2",), schedule="karras", accepts=fresh, second_order=True),
        Sampler("SEEDS 3", seeds.seeds_3, ("seeds_3",), schedule="karras", accepts=fresh, second_order=True, calls=3),
        Sampler(
            "Res Multistep a", exponential.res_multistep_ancestral,
            ("res_multistep_ancestral", "Res Multistep Ancestral"),
            schedule="karras", accepts=fresh, uses_ensd=True,
        ),
    )  # fmt: skip


def _cfgpp_samplers() -> tuple[Sampler, ...]:
    """Their scale is taken as it is, as in ComfyUI and Forge; that of DDIM CFG++ is divided by 12.5, as in A1111."""
    fresh = {"accepts": ("eta", "s_noise"), "uses_ensd": True, "needs_uncond": True}
    return (
        Sampler("Euler CFG++", cfgpp.euler_cfgpp, ("euler_cfg_pp",), needs_uncond=True),
        Sampler(
            "Euler a CFG++", cfgpp.euler_ancestral_cfgpp, ("euler_ancestral_cfg_pp", "Euler Ancestral CFG++"), **fresh
        ),
        Sampler("DPM++ 2M CFG++", cfgpp.dpmpp_2m_cfgpp, ("dpmpp_2m_cfg_pp",), schedule="karras", needs_uncond=True),
        Sampler(
            "DPM++ 2S a CFG++", cfgpp.dpmpp_2s_ancestral_cfgpp, ("dpmpp_2s_ancestral_cfg_pp",),
            schedule="karras", second_order=True, **fresh,
        ),
        Sampler(
            "Res Multistep CFG++", exponential.res_multistep_cfgpp, ("res_multistep_cfg_pp",),
            schedule="karras", needs_uncond=True,
        ),
        Sampler(
            "Res Multistep a CFG++", exponential.res_multistep_ancestral_cfgpp, ("res_multistep_ancestral_cfg_pp",),
            schedule="karras", **fresh,
        ),
        Sampler(
            "Gradient Estimation CFG++", gradient.gradient_estimation_cfgpp, ("gradient_estimation_cfg_pp",),
            needs_uncond=True,
        ),
    )  # fmt: skip
