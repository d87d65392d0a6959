from tests.draws import set_up_hypothesis

set_up_hypothesis()  # before any test's own settings are made
