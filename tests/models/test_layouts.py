"""Who speaks in the videos of each data set, and who is held out."""

import pytest

from models.training.corpus import is_held_out, person_hash
from models.training.layouts import LayoutError, Word, find_videos


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("layout", "name", "key"),
    [
        ("plain", "ann/1.mp4", "ann"),
        ("plain", "1.mov", "1"),
        ("voxceleb2", "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "id00012"),
        ("lrs2", "main/5535415699068794046/00001.mp4", "main/5535415699068794046"),
        ("lrs3", "trainval/0C5UQbWzwg8/50001.mp4", "trainval/0C5UQbWzwg8"),
        ("hdtf", "WDA_SomeOne_003.mp4", "WDA_SomeOne"),
        ("mead", "M003/video/front/happy/level_1/001.mp4", "M003"),
    ],
)
def test_the_path_tells_the_person_and_the_project_splits_by_person(tmp_path, layout, name, key):
    (source,) = find_videos(touch(tmp_path, name), layout)
    assert source.name == name
    assert source.person == person_hash(f"{layout}/{key}")
    assert source.held_out == is_held_out(source.person)
    assert source.sound == source.video == tmp_path / name


def test_two_videos_of_a_person_are_of_one_person(tmp_path):
    touch(tmp_path, "id1/a/1.mp4", "id1/b/1.mp4", "id2/a/1.mp4", "id1/a/1.txt")
    one, two, other = find_videos(tmp_path, "voxceleb2")
    assert one.person == two.person != other.person


def test_mead_takes_the_front_view_and_the_sound_beside_it(tmp_path):
    touch(tmp_path, "W009/video/front/sad/level_2/007.mp4", "W009/video/left_60/sad/level_2/007.mp4")
    touch(tmp_path, "W009/audio/sad/level_2/007.m4a")
    (source,) = find_videos(tmp_path, "mead")
    assert source.sound == tmp_path / "W009/audio/sad/level_2/007.m4a"


def test_voxceleb_takes_the_sound_from_its_own_tree_where_it_is(tmp_path):
    touch(tmp_path, "dev/mp4/id1/a/1.mp4", "dev/mp4/id1/a/2.mp4", "dev/aac/id1/a/1.m4a")
    one, two = find_videos(tmp_path, "voxceleb2")
    assert one.sound == tmp_path / "dev/aac/id1/a/1.m4a"
    assert two.sound == two.video


def test_lrw_tells_the_word_and_holds_its_own_parts_out(tmp_path):
    touch(tmp_path, "ABOUT/train/ABOUT_00001.mp4", "ABOUT/val/ABOUT_00001.mp4", "ABOUT/test/ABOUT_00002.mp4")
    sources = find_videos(tmp_path, "lrw")
    assert {source.name: source.held_out for source in sources} == {
        "ABOUT/train/ABOUT_00001.mp4": False,
        "ABOUT/val/ABOUT_00001.mp4": True,
        "ABOUT/test/ABOUT_00002.mp4": True,
    }
    assert sources[0].words == (Word("about", 0.0, 1.16),)


def test_grid_knows_its_words_and_holds_clips_out_as_the_rest_of_the_project(tmp_path):
    folder = touch(tmp_path / "grid-s1", *(f"video/c{i}.mp4" for i in range(40)))
    rows = ["clip,start_s,end_s,word", "c0,0.0,0.5,sil", "c0,0.5,0.75,bin", "c0,0.75,1.0,blue"]
    (folder / "align.csv").write_text("\n".join(rows))
    sources = find_videos(folder, "grid")
    assert sources[0].words == (Word("bin", 0.5, 0.75), Word("blue", 0.75, 1.0))
    assert {source.person for source in sources} == {person_hash("grid/grid-s1")}
    held_out = {source.video.stem for source in sources if source.held_out}
    assert held_out == {f"c{i}" for i in range(40) if is_held_out(person_hash(f"grid/c{i}"))}


@pytest.mark.parametrize(
    ("layout", "name"), [("voxceleb2", "a/1.mp4"), ("lrw", "ABOUT/1.mp4"), ("mead", "video/front/1.mp4")]
)
def test_a_folder_of_another_layout_is_refused(tmp_path, layout, name):
    with pytest.raises(LayoutError, match="want a path like"):
        find_videos(touch(tmp_path, name), layout)
    with pytest.raises(LayoutError, match="no video in"):
        find_videos(tmp_path / "none", layout)
