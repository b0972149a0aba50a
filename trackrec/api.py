"""The objects of the method in one place: ``from trackrec import api as tr``; see ``examples/api.py``."""

from trackrec.data.feedback import FeedbackSettings, add_negatives
from trackrec.data.filters import FilterSettings, filter_log
from trackrec.data.log import Log
from trackrec.data.sources import SourceSettings, read_log
from trackrec.data.split import Split, SplitSettings, split_log
from trackrec.data.statistics import ItemStatistics
from trackrec.data.targets import choose_targets
from trackrec.features.encoder import TextEncoder, swap_vectors, user_vectors
from trackrec.judges.base import Validator
from trackrec.judges.lm import LMValidator, LMValidatorSettings
from trackrec.judges.preferences import PreferenceSettings, build_groups
from trackrec.judges.ranker import RankerValidator, RankerValidatorSettings
from trackrec.judges.rewards import LogLikelihood, Probability
from trackrec.lm.generator import AlignmentSettings, Generator
from trackrec.lm.model import AdapterSettings, LanguageModel, LanguageModelSettings
from trackrec.lm.sampling import DecodingSettings
from trackrec.lm.training import TrainingSettings
from trackrec.pipeline.job import run_recipe
from trackrec.prompts.renderer import PromptSettings, Renderer
from trackrec.rankers.arm import Arm
from trackrec.rankers.compare import RankingSettings, compare_arms
from trackrec.recipe import Recipe, load_recipe
from trackrec.teachers.base import Teacher, write_texts
from trackrec.teachers.template import ProfileTeacher, TeacherSettings
from trackrec.users.histories import rows_by_user

__all__ = [
    "AdapterSettings",
    "AlignmentSettings",
    "Arm",
    "DecodingSettings",
    "FeedbackSettings",
    "FilterSettings",
    "Generator",
    "ItemStatistics",
    "LMValidator",
    "LMValidatorSettings",
    "LanguageModel",
    "LanguageModelSettings",
    "Log",
    "LogLikelihood",
    "PreferenceSettings",
    "Probability",
    "ProfileTeacher",
    "PromptSettings",
    "RankerValidator",
    "RankerValidatorSettings",
    "RankingSettings",
    "Recipe",
    "Renderer",
    "SourceSettings",
    "Split",
    "SplitSettings",
    "Teacher",
    "TeacherSettings",
    "TextEncoder",
    "TrainingSettings",
    "Validator",
    "add_negatives",
    "build_groups",
    "choose_targets",
    "compare_arms",
    "filter_log",
    "load_recipe",
    "read_log",
    "rows_by_user",
    "run_recipe",
    "split_log",
    "swap_vectors",
    "user_vectors",
    "write_texts",
]
