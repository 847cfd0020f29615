"""Rules in Osprey's own engine, run by a Python that has it: `python osprey_rules.py FOLDER`.

FOLDER holds our plugin. Reads JSON from standard input: the `rules`, and by name the `images`;
writes by name what the rules found, the errors that Osprey would report, or why the rules are
refused. Public modules of osprey 1.1.0 (github.com/roostorg/osprey, 699ff64) are all it needs.
"""

import json
import sys
from datetime import UTC, datetime

from osprey.engine.ast.sources import Sources
from osprey.engine.ast_validator import validate_sources
from osprey.engine.ast_validator.validation_context import ValidationFailed
from osprey.engine.ast_validator.validator_registry import ValidatorRegistry
from osprey.engine.executor.execution_context import Action
from osprey.engine.executor.execution_graph import compile_execution_graph
from osprey.engine.executor.executor import execute
from osprey.engine.executor.udf_execution_helpers import HasHelper, UDFHelpers
from osprey.engine.stdlib import get_config_registry
from osprey.engine.udf.registry import UDFRegistry
from osprey.worker import _stdlibplugin
from osprey.worker.adaptor import plugin_manager as adaptor
from osprey.worker.lib.singletons import CONFIG

sys.path.insert(0, sys.argv[1])
import safejudge_osprey

CONFIG.instance().configure_from_env()
adaptor.load_all_osprey_plugins()
for plugin in (_stdlibplugin, safejudge_osprey):
    if not adaptor.plugin_manager.is_registered(plugin):
        adaptor.plugin_manager.register(plugin)
adaptor.bootstrap_ast_validators()
# As `bootstrap_udfs` does, which wants a service of labels besides.
functions = [one for several in adaptor.plugin_manager.hook.register_udfs() for one in several]
helpers = UDFHelpers()
for function in functions:
    if issubclass(function, HasHelper):
        helpers.set_udf_helper(function, function.create_provider())
registry = UDFRegistry.with_udfs(*functions)
validators = ValidatorRegistry.get_instance().instance_with_additional_validators(
    get_config_registry().get_validator()
)


def found(rules, url):
    """What Osprey makes of an action with this image."""
    try:
        sources = validate_sources(Sources.from_dict({"main.sml": rules}), registry, validators)
    except ValidationFailed as error:
        return {"refused": error.rendered()}
    action = Action(
        action_id=1,
        action_name="upload",
        data={"url": url},
        timestamp=datetime(2026, 11, 29, tzinfo=UTC),
    )
    result = execute(compile_execution_graph(sources), helpers, action, None)
    features = {k: v for k, v in result.extracted_features.items() if not k.startswith("__")}
    errors = [f"{type(info.error).__name__}: {info.error}" for info in result.error_infos]
    return {"features": features, "errors": errors}


asked = json.load(sys.stdin)
json.dump({name: found(asked["rules"], url) for name, url in asked["images"].items()}, sys.stdout)
