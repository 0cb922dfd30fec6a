"""What `runhv doctor` says of this host, and of one where something is missing."""

import json


def test_the_doctor_says_what_works_here(runhv):
    result = runhv("doctor", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    diagnosis = json.loads(result.stdout)
    soft = next(each for each in diagnosis["engines"] if each["engine"] == "soft")
    assert soft["works"] and list(soft["stages_ns"]) == ["library", "partition", "guest", "kernel"]
    assert diagnosis["works"] and diagnosis["store"]["path"] == str(runhv.store)
    for engine in diagnosis["engines"]:
        assert engine["works"] or engine["error"]
    text = runhv("doctor").stdout.decode()
    assert "engine soft   works: library " in text and "Containers can run here." in text


def test_the_doctor_names_what_is_broken(runhv, tmp_path):
    (tmp_path / "store").write_text("no folder")
    result = runhv("doctor", "--json", env={"RUNHV_SOFTCPU": str(tmp_path / "no-engine.so"), "RUNHV_JAVA": "/no/java",
                                            "RUNHV_STORE": str(tmp_path / "store")})
    assert result.returncode == 1
    diagnosis = json.loads(result.stdout)
    soft = next(each for each in diagnosis["engines"] if each["engine"] == "soft")
    assert not soft["works"] and soft["cause"] == "engine-missing" and "no-engine.so" in soft["error"]
    assert diagnosis["java"]["cause"] == "no-java" and diagnosis["store"]["cause"] == "store-broken"


def test_an_engine_that_is_missing_is_named(runhv, tmp_path):
    result = runhv.run("true", env={"RUNHV_SOFTCPU": str(tmp_path / "no-engine.so")})
    assert result.returncode == 125
    assert b"no-engine.so" in result.stderr and b"Windows" not in result.stderr
