package e2e

// step is where a call is cut off. In about, {uuid} stands for the mount's UUID, and {id} for the authorization's ID.
type step struct {
	name string
	at
	// cut says that the call of InfluxDB which is held is lost.
	cut bool
	// fault is what is lost before, so that the call gets to the step.
	fault *at
}

// afterAnswer is no stop: the call has been answered.
const afterAnswer = "after the answer"

// aroundCall are the steps before and after a call of InfluxDB.
func aroundCall(what, method, about string) []step {
	before, after := at{when: "before", what: method, about: about}, at{when: "after", what: method, about: about}
	return []step{
		{name: "before the " + what, at: before, cut: true},
		{name: "before the " + what + ", which arrives all the same", at: before},
		{name: "after the " + what + " was applied", at: after, cut: true},
		{name: "after the " + what + " was applied, whose answer arrives all the same", at: after},
	}
}

// atEvery has the steps hold all who get to their points.
func atEvery(steps []step) []step {
	for i := range steps {
		steps[i].every = true
	}
	return steps
}

// aroundWrite are the steps before and after a write to storage.
func aroundWrite(what, operation, key string, nth int) []step {
	return []step{
		{name: "before " + what, at: at{when: "before", what: operation, about: "{uuid} " + key, nth: nth}},
		{name: "after " + what, at: at{when: "after", what: operation, about: "{uuid} " + key, nth: nth}},
	}
}

// aroundAnswer are the steps before and after Vault gets its answer.
func aroundAnswer(operation string) []step {
	return []step{
		{name: "before the answer", at: at{when: "before", what: "answer", about: "{uuid} " + operation}},
		{name: afterAnswer},
	}
}

// afterFault is a step on the way of a call that InfluxDB does not answer.
func afterFault(lost at, steps []step) []step {
	for i := range steps {
		steps[i].fault = &lost
	}
	return steps
}
