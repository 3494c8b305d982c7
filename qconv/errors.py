"""What can go wrong for a user, as a tree of exceptions; each class is an exit code.

    QconvError            1   anything below; also a verdict that says no
    |- UsageError         2   options or arguments that do not fit together
    |- ModelError         3   a model file that cannot be read, or that onnxruntime refuses
    |- DataError          4   samples that are missing, of the wrong form, or not finite
    |- ArtifactError      5   a calibration or plan file that does not fit the model
    |- FloatNodesError    6   --integer-only, and nodes stay in float
    `- OutputError        7   a result that cannot be written

A message is one sentence: what is wrong, where, and what to do about it.
"""


class QconvError(Exception):
    """A mistake that the user can mend; the message says how."""

    exit_code = 1


class UsageError(QconvError):
    """Options or arguments that do not fit together."""

    exit_code = 2


class ModelError(QconvError):
    """A model file that cannot be read, or that onnxruntime refuses."""

    exit_code = 3


class DataError(QconvError):
    """Samples that are missing, of the wrong form, or not finite."""

    exit_code = 4


class ArtifactError(QconvError):
    """A calibration or plan file that is damaged or belongs to another model."""

    exit_code = 5


class FloatNodesError(QconvError):
    """An integer-only graph was asked for, and nodes stay in float."""

    exit_code = 6


class OutputError(QconvError):
    """A result that cannot be written."""

    exit_code = 7
