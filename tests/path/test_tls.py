"""Both models behind a private authority: named once, trusted by the check, the gateway and the runner."""

import trustme

from tests.path.conftest import stream


def test_an_authority_that_is_named_is_trusted_for_both_arms(place):
    authority, pem = trustme.CA(), place.folder / "model.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    authority.cert_pem.write_to_path(place.folder / "authority.pem")
    models = place.model("old", "--tls", str(pem)), place.model("new", "--tls", str(pem))
    plan = place.plan(*models, edit=lambda text: text.replace("http://", "https://"))

    assert "does not speak TLS as it should" in place.gnomon("serve", plan, code=2).stderr

    place.settings["GNOMON_CA_FILE"] = str(place.folder / "nothing.pem")
    assert "nothing.pem cannot be read: No such file" in place.gnomon("serve", plan, code=2).stderr

    place.settings["GNOMON_CA_FILE"] = "authority.pem"
    assert place.gnomon("check", plan).stdout.count("ok  ") == 2
    process = place.serve(plan)
    stream(place.url, range(20))
    place.drained(paired=20)
    place.stop(process)
    tests = place.read("decide", code=10)["tests"]
    assert not any(test["result"] == "fail" for test in tests)
