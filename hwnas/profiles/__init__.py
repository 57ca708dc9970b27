"""Device profiles on disk: text that is appended safely and compares well."""

from hwnas.profiles.bags import NetworkBag, ProfiledBags
from hwnas.profiles.conditions import Differences, differences
from hwnas.profiles.device import Device
from hwnas.profiles.lines import LARGEST_MS
from hwnas.profiles.merge import Merged
from hwnas.profiles.observation import Measurement, Observation, combine
from hwnas.profiles.records import Records, fusion_of
from hwnas.profiles.store import DeviceProfile, profiles_folder

__all__ = [
    "LARGEST_MS",
    "Device",
    "DeviceProfile",
    "Differences",
    "Measurement",
    "Merged",
    "NetworkBag",
    "Observation",
    "ProfiledBags",
    "Records",
    "combine",
    "differences",
    "fusion_of",
    "profiles_folder",
]
