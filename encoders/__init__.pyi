from .htcl import HtclModel
from .model.config import HtclAudioConfig, HtclConfig, preset_config
from .model.processing import HtclFeatureExtractor, HtclProcessor

__all__ = ["HtclAudioConfig", "HtclConfig", "HtclFeatureExtractor", "HtclModel", "HtclProcessor", "preset_config"]

__version__: str
