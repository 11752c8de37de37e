// Judges a history, written as e2e/checker/porcupine-file.ts says, with porcupine: a register for each id.
//
//	porcupine [-timeout 60s] history.jsonl
//
// It prints one line of JSON, {"ids", "operations", "ok", "illegal": [ids], "undecided": [ids]}, and ends with 0 when every
// id is linearizable, 1 when one is not, 2 when one could not be decided in time or the file could not be read.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

type condition struct {
	Kind    string
	Version int64
}

type seen struct {
	Vector, Payload, Version int64
}

type line struct {
	ID, Client, Kind string
	Call             int64
	Return           *int64
	Vector, Payload  int64
	Condition        *condition
	Outcome          string
	Version          int64
	Seen             *seen
}

// register is the point, and the greatest version known to have been given. While nobody has observed the version of a
// write whose answer was lost, the point's version is 0; whatever observes it first settles it.
type register struct {
	Present                  bool
	Vector, Payload, Version int64
	Floor                    int64
}

func step(state, input, _ interface{}) (bool, interface{}) {
	before, op := state.(register), input.(*line)
	if op.Return == nil {
		return true, before.unknown(op)
	}
	after, ok := before.answered(op)
	return ok, after
}

func (r register) answered(op *line) (register, bool) {
	switch {
	case op.Kind == "get" && op.Seen == nil:
		return r, !r.Present
	case op.Kind == "get":
		if !r.Present || r.Vector != op.Seen.Vector || r.Payload != op.Seen.Payload {
			return r, false
		}
		return r.observed(op.Seen.Version)
	case op.Outcome == "condition-failed":
		observed, ok := r.observed(op.Version)
		_, holds := observed.where(op.Condition)
		return observed, ok && !holds
	}
	r, holds := r.where(op.Condition)
	if !holds || op.Outcome != r.outcome(op.Kind) {
		return r, false
	}
	switch op.Outcome {
	case "not-found":
		return r, op.Version == 0
	case "deleted":
		return r.written(op, 0), op.Version == 0
	}
	return r.written(op, op.Version), op.Version > r.Floor
}

// unknown: it happens here if it can. Porcupine wants a place for every operation; one that never happened has its place
// at the end, where it disturbs nobody, because its return is at the end of time.
func (r register) unknown(op *line) register {
	bound, holds := r.where(op.Condition)
	if !holds || bound.outcome(op.Kind) == "not-found" {
		return r
	}
	return bound.written(op, 0)
}

func (r register) outcome(kind string) string {
	switch {
	case kind == "upsert" && !r.Present:
		return "created"
	case !r.Present:
		return "not-found"
	case kind == "delete":
		return "deleted"
	}
	return "updated"
}

func (r register) written(op *line, version int64) register {
	floor := r.Floor
	if version > 0 {
		floor = version
	}
	switch op.Kind {
	case "delete":
		return register{Floor: floor}
	case "set-payload":
		return register{Present: true, Vector: r.Vector, Payload: op.Payload, Version: version, Floor: floor}
	}
	return register{Present: true, Vector: op.Vector, Payload: op.Payload, Version: version, Floor: floor}
}

func (r register) where(c *condition) (register, bool) {
	switch {
	case c == nil:
		return r, true
	case c.Kind == "absent":
		return r, !r.Present
	case c.Kind == "present":
		return r, r.Present
	}
	return r.observed(c.Version)
}

// observed says whether the point can have this version (0: it is absent), and settles it if it was open.
func (r register) observed(version int64) (register, bool) {
	if !r.Present || r.Version != 0 {
		return r, r.Version == version
	}
	if version <= r.Floor {
		return r, false
	}
	r.Version, r.Floor = version, version
	return r, true
}

var model = porcupine.Model{
	Init: func() interface{} { return register{} },
	Step: step,
}

func read(from io.Reader) (map[string][]porcupine.Operation, error) {
	histories := map[string][]porcupine.Operation{}
	decoder := json.NewDecoder(bufio.NewReader(from))
	decoder.DisallowUnknownFields()
	for {
		op := &line{}
		if err := decoder.Decode(op); err == io.EOF {
			return histories, nil
		} else if err != nil {
			return nil, err
		}
		until := int64(math.MaxInt64)
		if op.Return != nil {
			until = *op.Return
		}
		histories[op.ID] = append(histories[op.ID], porcupine.Operation{Input: op, Call: op.Call, Return: until})
	}
}

type report struct {
	IDs        int      `json:"ids"`
	Operations int      `json:"operations"`
	OK         int      `json:"ok"`
	Illegal    []string `json:"illegal"`
	Undecided  []string `json:"undecided"`
}

func judge(histories map[string][]porcupine.Operation, timeout time.Duration) report {
	result := report{IDs: len(histories), Illegal: []string{}, Undecided: []string{}}
	for id, history := range histories {
		result.Operations += len(history)
		switch porcupine.CheckOperationsTimeout(model, history, timeout) {
		case porcupine.Ok:
			result.OK++
		case porcupine.Illegal:
			result.Illegal = append(result.Illegal, id)
		default:
			result.Undecided = append(result.Undecided, id)
		}
	}
	sort.Strings(result.Illegal)
	sort.Strings(result.Undecided)
	return result
}

func main() {
	timeout := flag.Duration("timeout", time.Minute, "for each id")
	flag.Parse()
	file, err := os.Open(flag.Arg(0))
	if err == nil {
		var histories map[string][]porcupine.Operation
		if histories, err = read(file); err == nil {
			result := judge(histories, *timeout)
			printed, _ := json.Marshal(result)
			fmt.Println(string(printed))
			switch {
			case len(result.Illegal) > 0:
				os.Exit(1)
			case len(result.Undecided) > 0:
				os.Exit(2)
			}
			return
		}
	}
	fmt.Fprintln(os.Stderr, "porcupine:", err)
	os.Exit(2)
}
