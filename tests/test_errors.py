"""Claims about the error tree."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from holdfast import errors
from holdfast.errors import HoldfastError, NoSuchRecord

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, HoldfastError)]
FAMILIES = ["UsageError", "StorageError", "ProtocolError", "LinkError", "SimulationFault"]


def _missing() -> NoSuchRecord:
    return NoSuchRecord("there is no record under this key", subject="tasks/t1", remedy="Put the record first.")


def test_an_error_says_what_happened_to_which_object_and_what_to_do():
    assert str(_missing()) == "there is no record under this key (tasks/t1). Put the record first."


def test_subject_and_remedy_cannot_be_forgotten():
    with pytest.raises(TypeError):
        HoldfastError("something happened")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_code_is_the_name_of_its_class_in_kebab_case(kind: type[HoldfastError]):
    assert kind.code == re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def test_the_tree_has_one_family_for_everyone_who_can_act():
    assert [kind.__name__ for kind in HoldfastError.__subclasses__()] == FAMILIES


def test_the_docstring_shows_the_tree():
    picture = errors.__doc__.partition("    HoldfastError\n")[2].partition("\n\n")[0]
    heads = re.sub(r"(── \w+Error|── \w+Fault) {2,}\w.*$", r"\1", picture, flags=re.MULTILINE)
    drawn = re.findall(r"\w+", heads)
    real = []
    for family in HoldfastError.__subclasses__():
        kinds = [
            kind for kind in family.__subclasses__() if kind in CLASSES
        ]  # tests of processes make some of their own
        real += [family.__name__, *(kind.__name__ for kind in kinds)]
    assert drawn == real
    assert {"HoldfastError", *real} == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize("travel", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_survives_the_way_back_from_a_worker_process(travel):
    error = _missing()
    error.add_note("seen by worker 3")
    arrived = travel(error)
    assert type(arrived) is NoSuchRecord
    assert str(arrived) == str(error)
    assert arrived.__notes__ == ["seen by worker 3"]
