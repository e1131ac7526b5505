package assessment

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
)

// MaxCost bounds the estimated cost of one expression, in CEL cost units: an
// operation costs about one. Estimates assume that lists are as long as
// plausible facts have them, see sizes.
const MaxCost = 5_000_000

// MaxNesting bounds how deep loops and bindings stand inside each other: with
// each level a value can double, and the estimate takes twice as long.
const MaxNesting = 6

// MaxExpressionBytes bounds the text of an expression.
const MaxExpressionBytes = 8 << 10

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	expr  string
	reads []string
	at    map[string]Place
	// members are those that it reads of a kind; nil if it reads the whole fact.
	members map[string][]string
	prg     cel.Program
}

// Place is a place within an expression; Line and Column count from 1.
type Place struct{ Line, Column int }

// ExpressionError is a fault in an expression. Line and Column count from 1
// within the expression.
type ExpressionError struct {
	Line, Column int
	Reason       string
}

// Error implements error.
func (e *ExpressionError) Error() string {
	return fmt.Sprintf("expression line %d column %d: %s", e.Line, e.Column, e.Reason)
}

// CompileBool compiles an expression that gives true or false. The error is an
// *ExpressionError.
func (e *Environment) CompileBool(expr string) (*Program, error) {
	return e.compile(expr, cel.BoolType)
}

// CompileString compiles an expression that gives a text.
func (e *Environment) CompileString(expr string) (*Program, error) {
	return e.compile(expr, cel.StringType)
}

func (e *Environment) compile(expr string, want *cel.Type) (*Program, error) {
	fault := func(reason string) error { return &ExpressionError{Line: 1, Column: 1, Reason: reason} }
	if len(expr) > MaxExpressionBytes {
		return nil, fault(fmt.Sprintf("has %d bytes, the limit is %d", len(expr), MaxExpressionBytes))
	}
	checked, iss := e.env.Compile(expr)
	if err := iss.Err(); err != nil {
		first := iss.Errors()[0]
		line, column := first.Location.Line(), first.Location.Column()
		if strings.HasPrefix(first.Message, "undeclared reference") {
			column = nameStart(strings.Split(expr, "\n"), line, column)
		}
		return nil, &ExpressionError{
			Line: max(line, 1), Column: max(column, 0) + 1,
			Reason: strings.ReplaceAll(first.Message, "fact.", ""),
		}
	}
	if !checked.OutputType().IsExactType(want) {
		return nil, fault(fmt.Sprintf("gives %s, but %s is needed", checked.OutputType(), want))
	}
	if deep := nesting(checked); deep > MaxNesting {
		return nil, fault(fmt.Sprintf("nests %d loops and bindings, the limit is %d", deep, MaxNesting))
	}
	est, err := e.env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, fault("its cost cannot be estimated: " + err.Error())
	}
	if est.Max > MaxCost {
		return nil, fault(fmt.Sprintf("may cost %d units, the limit is %d: do not nest loops over long lists", est.Max, uint64(MaxCost)))
	}
	prg, err := e.env.Program(checked, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fault(err.Error())
	}
	at := e.reads(expr, checked)
	return &Program{expr: expr, prg: prg, at: at, reads: slices.Sorted(maps.Keys(at)), members: e.members(checked)}, nil
}

// nesting is how deep loops and bindings stand inside each other.
func nesting(checked *cel.Ast) int {
	deepest := 0
	for _, c := range ast.MatchDescendants(ast.NavigateAST(checked.NativeRep()), ast.KindMatcher(ast.ComprehensionKind)) {
		depth := 1
		for at, ok := c.Parent(); ok; at, ok = at.Parent() {
			if at.Kind() == ast.ComprehensionKind {
				depth++
			}
		}
		deepest = max(deepest, depth)
	}
	return deepest
}

// reads returns the fact kinds that a checked expression refers to, each with
// the first place where it does.
func (e *Environment) reads(expr string, checked *cel.Ast) map[string]Place {
	at := map[string]Place{}
	rep := checked.NativeRep()
	lines := strings.Split(expr, "\n")
	for id, r := range rep.ReferenceMap() {
		if _, ok := e.slots[r.Name]; !ok {
			continue
		}
		l := rep.SourceInfo().GetStartLocation(id)
		p := Place{Line: l.Line(), Column: nameStart(lines, l.Line(), l.Column()) + 1}
		first, ok := at[r.Name]
		if !ok || p.Line < first.Line || (p.Line == first.Line && p.Column < first.Column) {
			at[r.Name] = p
		}
	}
	return at
}

// members returns, by kind, the members that a checked expression selects; nil
// for a kind that it uses as a whole.
func (e *Environment) members(checked *cel.Ast) map[string][]string {
	members, whole := map[string][]string{}, map[string]bool{}
	for _, ident := range ast.MatchDescendants(ast.NavigateAST(checked.NativeRep()), ast.KindMatcher(ast.IdentKind)) {
		kind := strings.TrimPrefix(ident.AsIdent(), ".")
		if _, ok := e.slots[kind]; !ok {
			continue
		}
		parent, ok := ident.Parent()
		if !ok || parent.Kind() != ast.SelectKind {
			whole[kind] = true
			continue
		}
		members[kind] = append(members[kind], parent.AsSelect().FieldName())
	}
	for kind := range whole {
		members[kind] = nil
	}
	return members
}

// nameStart moves from a dot inside a dotted name to where the name begins;
// CEL locates a selection at its dot. Columns count characters, from 0.
func nameStart(lines []string, line, column int) int {
	if line < 1 || line > len(lines) {
		return column
	}
	text := []rune(lines[line-1])
	for column > 0 && column <= len(text) && (text[column-1] == '.' || text[column-1] == '_' || unicode.IsLetter(text[column-1]) || unicode.IsDigit(text[column-1])) {
		column--
	}
	return column
}

// Reads returns the fact kinds that the expression needs, sorted.
func (p *Program) Reads() []string { return p.reads }

// ReadAt returns the first place where the expression reads the kind.
func (p *Program) ReadAt(kind string) Place { return p.at[kind] }

// Expression returns the text that was compiled.
func (p *Program) Expression() string { return p.expr }

// ErrEvaluation is wrapped by failures of an evaluation, for instance an index
// out of range or a missing key.
var ErrEvaluation = errors.New("evaluation failed")

// Bool evaluates an expression compiled with CompileBool.
func (p *Program) Bool(f *Facts) (bool, error) {
	out, _, err := p.prg.Eval(f)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrEvaluation, err)
	}
	return out == types.True, nil
}

// String evaluates an expression compiled with CompileString.
func (p *Program) String(f *Facts) (string, error) {
	out, _, err := p.prg.Eval(f)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrEvaluation, err)
	}
	s, ok := out.(types.String)
	if !ok {
		return "", fmt.Errorf("%w: gave %s", ErrEvaluation, out.Type().TypeName())
	}
	return string(s), nil
}

// sizes estimates lengths for the cost of an expression. Decode refuses
// longer lists than MaxListItems; the estimate takes a quarter of that, and
// of strings what names and paths have.
type sizes struct{}

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	switch n.Type().Kind() {
	case types.ListKind, types.MapKind:
		return &cost.SizeEstimate{Min: 0, Max: MaxListItems / 4}
	case types.StringKind, types.BytesKind:
		return &cost.SizeEstimate{Min: 0, Max: 256}
	}
	return nil
}

// EstimateCallCost implements cost.Estimator for the product's own
// functions: compiled code that goes through its lists once, about a hundred
// times faster than an expression would.
func (sizes) EstimateCallCost(function, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	passes := cost.Estimate{Min: 1, Max: MaxListItems / 4 / 100}
	switch function {
	case "listed", "reasons":
		return &cost.CallEstimate{CostEstimate: passes, ResultSize: &cost.SizeEstimate{Min: 0, Max: 1024}}
	case "undeclared", "common", "inNetworks", "notInNetworks", "notEncrypted":
		return &cost.CallEstimate{CostEstimate: passes, ResultSize: &cost.SizeEstimate{Min: 0, Max: MaxListItems / 4}}
	case "beginsWith":
		return &cost.CallEstimate{CostEstimate: passes}
	}
	return nil
}

var _ cost.Estimator = sizes{}
