from . import attributions as attributions
from . import baselines as baselines
from . import datasets as datasets
from . import errors as errors
from . import gan as gan
from . import metrics as metrics
from . import misclassification as misclassification
from . import plotting as plotting
from . import sanity as sanity
from . import zoo as zoo
from .classifier import Classifier as Classifier
from .classifier import load_classifier as load_classifier
from .datasets import Dataset as Dataset
from .datasets import load_dataset as load_dataset
from .evaluation import evaluate as evaluate
from .explanation import Explanation as Explanation
from .explanation import explain as explain
from .explanation import load_explanation as load_explanation
from .gan import GANMEX as GANMEX
from .gan import load_ganmex as load_ganmex

__version__: str
