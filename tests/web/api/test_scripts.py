"""Built-in scripts under /atelier/v1, and jobs that go on."""

from __future__ import annotations

JOBS = "/atelier/v1/jobs"
REQUEST = {"sampling": {"steps": 1}, "extras": {"script": {"name": "x/y/z plot", "values": {"x_values": "1-2"}}}}


def test_scripts_and_axes_are_told(served):
    told = served.client.get("/atelier/v1/scripts").json()
    titles = [script["title"] for script in told["scripts"]]
    assert titles == ["Prompt matrix", "Prompts from file or textbox", "X/Y/Z plot"]
    grid = told["scripts"][-1]
    assert grid["args"][:3] == ["x_type", "x_values", "x_values_dropdown"]
    assert grid["values"]["properties"]["margin_size"]["maximum"] == 500
    by_label = {axis["label"]: axis for axis in told["axes"]}
    assert by_label["Nothing"]["number"] == 0 and by_label["Steps"]["number"] == 4
    assert by_label["Sampler"]["choices"] == "samplers"
    img2img = served.client.get("/atelier/v1/scripts?kind=img2img").json()
    assert img2img["scripts"][0]["args"][0] == "" and len(img2img["scripts"]) == 8
    assert served.client.get("/atelier/v1/scripts?kind=video").status_code == 422


def test_a_script_by_name_is_checked_when_it_is_asked_for(served):
    def post(script):
        body = {"kind": "txt2img", "request": {**REQUEST, "extras": {"script": script}}}
        return served.client.post(JOBS, json=body)

    assert post({"name": "Moon"}).json()["fields"]["field"] == "extras.script.name"
    assert post({"name": "X/Y/Z plot", "values": {"moon": 1}}).json()["fields"]["field"] == "xyz_plot.moon"
    assert post({"name": "X/Y/Z plot", "values": []}).status_code == 422
    assert post({"name": "Loopback"}).status_code == 422 and post("Loopback").status_code == 422


def test_an_ended_job_goes_on_under_a_new_id(served):
    body = {"kind": "txt2img", "request": REQUEST}
    id = served.client.post(JOBS, json=body).json()["id"]
    served.app.result(id, 20)
    answer = served.client.post(f"{JOBS}/{id}/resume")
    assert answer.status_code == 202
    new = answer.json()["id"]
    served.app.result(new, 20)
    script = served.client.get(f"{JOBS}/{new}").json()["request"]["extras"]["script"]
    assert new != id and script["resume"] == id and script["values"]["x_values"] == "1-2"
    assert served.client.post(f"{JOBS}/nobody/resume").status_code == 404
    load = served.client.post(JOBS, json={"kind": "refresh", "request": {}}).json()["id"]
    served.app.result(load, 20)
    assert served.client.post(f"{JOBS}/{load}/resume").status_code == 422
