"""Aliases, configs, and errors of the registry, on classes of its own."""

import pytest

from keras_similarity.registry import PACKAGE, Registry, register_serializable

pytestmark = pytest.mark.keras_free


class Fruit:
    def __init__(self, size=1):
        self.size = size

    def get_config(self):
        return {"size": self.size}


@pytest.fixture
def fruits():
    registry = Registry("fruit", Fruit)

    @registry.register("pomme", "Malus")
    class Apple(Fruit):
        pass

    @registry.register()
    class Pear(Fruit):
        @classmethod
        def from_config(cls, config):
            return cls(size=config["size"] + 100)

    return registry


@pytest.mark.parametrize("name", ["pomme", "POMME", "malus", "apple", "Apple"])
def test_a_class_is_found_by_alias_and_name_in_any_case(fruits, name):
    fruit = fruits.get(name, size=3)
    assert (type(fruit).__name__, fruit.size) == ("Apple", 3)


def test_names_are_sorted(fruits):
    assert fruits.names() == ["apple", "malus", "pear", "pomme"]


def test_an_object_is_returned_as_it_is(fruits):
    fruit = Fruit()
    assert fruits.get(fruit) is fruit


def test_an_unknown_name_shows_a_close_one_and_all(fruits):
    with pytest.raises(ValueError, match=r"Unknown fruit: 'Aple'\. Did you mean 'apple'"):
        fruits.get("Aple")
    with pytest.raises(ValueError, match=r"Known: apple, malus, pear, pomme\."):
        fruits.get("zzz")


@pytest.mark.parametrize("identifier", [None, 3, Fruit])
def test_what_is_no_identifier_is_a_type_error(fruits, identifier):
    with pytest.raises(TypeError, match=r"A fruit must be given as .* Received: "):
        fruits.get(identifier)


def test_a_config_is_plain_data_and_comes_back(fruits):
    config = fruits.serialize(fruits.get("apple", size=7))
    assert config == {"class_name": "Apple", "config": {"size": 7}}
    for read in (fruits.get, fruits.deserialize):
        fruit = read(config)
        assert (type(fruit).__name__, fruit.size) == ("Apple", 7)


def test_from_config_is_used_where_a_class_has_one(fruits):
    assert fruits.deserialize({"class_name": "Pear", "config": {"size": 1}}).size == 101


def test_a_config_without_arguments_is_enough(fruits):
    assert fruits.deserialize({"class_name": "Apple"}).size == 1


def test_custom_objects_win_over_the_registered(fruits):
    class Crab(Fruit):
        pass

    config = {"class_name": "Apple", "config": {"size": 2}}
    fruit = fruits.deserialize(config, custom_objects={"Apple": Crab})
    assert type(fruit) is Crab
    assert fruit.size == 2


def test_an_unknown_class_in_a_config_is_an_error(fruits):
    with pytest.raises(ValueError, match="Unknown fruit: 'Plum'"):
        fruits.deserialize({"class_name": "Plum", "config": {}})


def test_a_config_without_a_class_is_an_error(fruits):
    with pytest.raises(ValueError, match="must name its class under 'class_name'"):
        fruits.deserialize({"config": {}})


def test_registering_returns_the_class_itself(fruits):
    class Plum(Fruit):
        pass

    assert fruits.register("prune")(Plum) is Plum
    assert register_serializable(Plum) is Plum
    assert type(fruits.get("prune")) is Plum
    assert PACKAGE == "keras_similarity"
