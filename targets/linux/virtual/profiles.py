"""The boards that can be simulated: synthetic, of the shapes that real ones are known to have.

In: nothing. Out: `PROFILES`. No figure here was measured on a board, and none may be published as one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rail:
    """A rail of an INA3221: constant mV, and mA that swing around a mean."""

    label: str
    millivolts: int
    milliamps: int
    swing: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """A board: what its files say. Without `features` its processor is that of this machine; with them it is of ARM,
    and programs run under qemu as the processor `qemu`."""

    summary: str
    model: str
    zones: tuple[tuple[str, int], ...]
    governors: str = "schedutil performance powersave"
    clocks: tuple[int, ...] = (1_510_400,)
    release: str | None = None
    cuda: str | None = None
    modes: tuple[str, ...] = ()
    reboot: tuple[int, ...] = ()
    rails: tuple[tuple[str, tuple[Rail, ...]], ...] = ()
    iio: bool = False
    fan: str | None = None
    tegrastats: str = ""
    features: str = ""
    part: str = "0xd42"
    qemu: str = "max"


_NC = Rail("NC", 0, 0)
_ARM8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32"
_ARM82 = f"{_ARM8} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"

PROFILES = {
    "pi": Profile(
        summary="a Raspberry Pi: a Linux board without rails",
        model="Raspberry Pi 5 Model B (virtual)",
        zones=(("cpu-thermal", 48_000),),
        governors="ondemand performance powersave",
        clocks=(2_400_000,),
        features=_ARM82,
        part="0xd0b",
    ),
    "pc": Profile(
        summary="a Linux machine with this machine's own processor: programs run as they are",
        model="",
        zones=(("x86_pkg_temp", 44_000),),
        governors="performance powersave",
        clocks=(3_600_000,),
    ),
    "nano": Profile(
        summary="a Jetson Nano with JetPack 4: rails by iio, no timestamps",
        model="NVIDIA Jetson Nano Developer Kit (virtual)",
        zones=(("AO-therm", 41_000), ("CPU-therm", 37_500), ("GPU-therm", 36_000), ("PMIC-Die", 50_000)),
        clocks=(1_479_000,),
        features=_ARM8,
        part="0xd07",
        qemu="cortex-a57",
        release="# R32 (release), REVISION: 7.1, GCID: 1, BOARD: t210ref, EABI: aarch64",
        cuda="10.2.300",
        modes=("MAXN", "5W"),
        rails=(
            (
                "6-0040",
                (Rail("POM_5V_IN", 5000, 700, 300), Rail("POM_5V_GPU", 5000, 40), Rail("POM_5V_CPU", 5000, 160)),
            ),
        ),
        iio=True,
        fan="devices/pwm-fan/target_pwm",
        tegrastats="RAM 1801/3964MB (lfb 4x2MB) SWAP 12/1982MB (cached 3MB) IRAM 0/252kB(lfb 252kB) "
        "CPU [7%@1479,3%@1479,4%@1479,2%@1479] EMC_FREQ 2%@1600 GR3D_FREQ 5%@76 APE 25 PLL@36.5C CPU@37.5C "
        "PMIC@50C GPU@36C AO@41C thermal@37C POM_5V_IN 3500/3480 POM_5V_GPU 200/190 POM_5V_CPU 800/810",
    ),
    "xavier": Profile(
        summary="an AGX Xavier with JetPack 4: which rails add up is not known",
        model="NVIDIA Jetson AGX Xavier (virtual)",
        zones=(("CPU-therm", 38_000), ("GPU-therm", 37_000)),
        clocks=(2_265_600,),
        features=f"{_ARM8} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop",
        part="0x004",
        release="# R32 (release), REVISION: 4.4, GCID: 1, BOARD: t186ref, EABI: aarch64",
        modes=("MAXN", "MODE_10W", "MODE_15W", "MODE_30W_ALL"),
        rails=(
            ("1-0040", (Rail("GPU", 5000, 90), Rail("CPU", 5000, 120, 60), Rail("SOC", 5000, 580))),
            ("1-0041", (Rail("CV", 5000, 0), Rail("VDDRQ", 5000, 60), Rail("SYS5V", 5000, 660))),
        ),
        iio=True,
        tegrastats="RAM 3010/15692MB (lfb 2104x4MB) CPU [1%@1190,0%@1190,0%@1190,off,off,off,off,off] EMC_FREQ 0% "
        "GR3D_FREQ 0% AO@30C GPU@30.5C PMIC@100C CPU@31C GPU 450/450 CPU 600/600 SOC 2900/2900 CV 0/0 "
        "VDDRQ 300/300 SYS5V 3300/3300",
    ),
    "orin-nano": Profile(
        summary="an Orin Nano with JetPack 6: one rail for the module",
        model="NVIDIA Jetson Orin Nano Developer Kit (virtual)",
        features=_ARM82,
        zones=(("cpu-thermal", 46_125), ("gpu-thermal", 45_300), ("tj-thermal", 46_125), ("cv0-thermal", -256_000)),
        release="# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic, EABI: aarch64",
        cuda="12.6.11",
        modes=("15W", "25W", "MAXN_SUPER", "7W"),
        reboot=(3,),
        rails=(
            (
                "1-0040",
                (Rail("VDD_IN", 5000, 1400, 600), Rail("VDD_CPU_GPU_CV", 5000, 500, 300), Rail("VDD_SOC", 5000, 280)),
            ),
        ),
        fan="devices/platform/pwm-fan/hwmon/hwmon2/pwm1",
        tegrastats="11-25-2026 10:00:01 RAM 1873/7620MB (lfb 5x4MB) SWAP 0/3810MB (cached 0MB) "
        "CPU [3%@1510,1%@1510,0%@1510,2%@1510,off,off] GR3D_FREQ 0% cpu@46.125C soc2@45C gpu@45.3C tj@46.125C "
        "VDD_IN 7000mW/6900mW VDD_CPU_GPU_CV 2500mW/2400mW VDD_SOC 1400mW/1400mW",
    ),
    "agx-orin": Profile(
        summary="an AGX Orin with JetPack 6: three rails that are added up",
        model="NVIDIA Jetson AGX Orin Developer Kit (virtual)",
        zones=(("cpu-thermal", 45_000), ("tj-thermal", 45_500)),
        clocks=(2_201_600, 2_201_600),
        features=_ARM82,
        release="# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic, EABI: aarch64",
        cuda="12.6.11",
        modes=("MAXN", "MODE_15W", "MODE_30W", "MODE_50W"),
        reboot=(0,),
        rails=(
            (
                "1-0040",
                (
                    Rail("VDD_GPU_SOC", 20_000, 250, 100),
                    Rail("VDD_CPU_CV", 20_000, 120, 60),
                    Rail("VIN_SYS_5V0", 5000, 900, 100),
                ),
            ),
            ("1-0041", (_NC, Rail("VDDQ_VDD2_1V8AO", 5000, 120), _NC)),
        ),
        fan="devices/platform/pwm-fan/hwmon/hwmon2/pwm1",
        tegrastats="11-25-2026 10:00:01 RAM 5120/62841MB (lfb 110x4MB) SWAP 0/31420MB (cached 0MB) "
        "CPU [1%@2201,0%@2201,0%@2201,0%@2201,2%@2201,0%@2201,0%@2201,0%@2201] EMC_FREQ 1%@3199 "
        "GR3D_FREQ 4%@[1300,1300] NVENC off NVDEC off VIC off OFA off PVA0_FREQ off APE 174 cpu@45C tj@45.5C CV0@-256C "
        "VDD_GPU_SOC 5000mW/5000mW VDD_CPU_CV 2400mW/2400mW VIN_SYS_5V0 4500mW/4500mW NC 0mW/0mW "
        "VDDQ_VDD2_1V8AO 600mW/600mW NC 0mW/0mW",
    ),
    "thor": Profile(
        summary="an AGX Thor with JetPack 7: the rail VIN, three numbers for each",
        model="NVIDIA Jetson AGX Thor Developer Kit (virtual)",
        zones=(("cpu-thermal", 50_000), ("tj-thermal", 51_000)),
        clocks=(2_601_000,),
        features=f"{_ARM82} sve sve2 i8mm bf16",
        part="0xd83",
        release="# R39 (release), REVISION: 2.0, GCID: 1, BOARD: generic, EABI: aarch64",
        cuda="13.0.0",
        modes=("MAXN", "120W", "70W"),
        rails=(
            (
                "2-0040",
                (
                    Rail("VDD_GPU", 20_000, 400, 200),
                    Rail("VDD_CPU_SOC_MSS", 20_000, 600),
                    Rail("VIN", 20_000, 1800, 400),
                ),
            ),
        ),
        tegrastats="11-25-2026 10:00:01 RAM 9000/125772MB (lfb 900x4MB) CPU [4%,5%,off,1%]@2601 EMC_FREQ @4266 "
        "GR3D_FREQ @[1574,1574,1574] NVENC0_FREQ @1691 VIC off cpu@50C/51C tj@51C/52C "
        "VDD_GPU 8000mW/8000mW/9000mW VDD_CPU_SOC_MSS 12000mW/12000mW/13000mW VIN 36000mW/36000mW/40000mW",
    ),
}
