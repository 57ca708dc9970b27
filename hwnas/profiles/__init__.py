"""Device profiles on disk: text that is appended safely and compares well."""

from hwnas.profiles.device import Device
from hwnas.profiles.observation import Measurement, Observation, combine
from hwnas.profiles.store import DeviceProfile, Records, profiles_folder

__all__ = [
    "Device",
    "DeviceProfile",
    "Measurement",
    "Observation",
    "Records",
    "combine",
    "profiles_folder",
]
