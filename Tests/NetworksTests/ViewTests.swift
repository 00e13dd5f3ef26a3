import Foundation
import TestSupport
import Testing

/// What can be written through which view is the compiler's business, so the compiler is asked.
@Suite struct ViewTests {
  /// Every line that ends in `refused` must be an error, and no other line may be one.
  private static let source = """
    import Networks
    import Tensors

    func borrow(_ state: borrowing StateBuffer, _ region: Region) -> Float {
      let row = state.vector.matrix(rows: 2, columns: 3)[row: 1]
      state.vector[0] = 1 // refused
      state.vector.part(region).fill(0) // refused
      state.vector.matrix(rows: 2, columns: 3)[row: 1][2] = 1 // refused
      state.vector.matrix(rows: 2, columns: 3).elements.rectify() // refused
      state.mutableVector.fill(0) // refused
      MutableVector(writing: state.vector).fill(0) // refused
      return row[2] + state.vector.part(region)[0]
    }

    func own(_ state: inout StateBuffer, _ region: Region) {
      state.mutableVector[0] = 1
      state.mutableVector.part(region).fill(0)
      state.mutableVector.matrix(rows: 2, columns: 3)[row: 1][2] = state.vector[0]
      state.mutableVector.vector[0] = 1 // refused
    }

    func forward(_ pass: ForwardPass, _ region: Region) {
      pass.output.elements.assign(pass.tensor(region)[0], times: pass.input.elements, plus: 0)
      pass.buffer(region)?.assign(0.5, times: pass.saved.vector.part(region), plus: 0.5)
      pass.saved[0] = pass.scratch[0]
      pass.input.elements.fill(0) // refused
      pass.tensor(region)[0] = 1 // refused
      pass.tensor(region).fill(0) // refused
      pass.buffer(region).fill(0) // refused
    }

    func backward(_ pass: BackwardPass, _ region: Region) {
      pass.outputGradient.elements.scale(by: pass.tensor(region)[0])
      pass.inputGradient?.elements.copy(from: pass.outputGradient.elements.vector)
      pass.takeGradient(of: region) { target in target.add(pass.saved.part(region)) }
      pass.takeGradient(of: region) { target in target.values[0] = target.scale * pass.input.elements[0] }
      pass.input.elements.fill(0) // refused
      pass.output.elements.fill(0) // refused
      pass.saved[0] = 1 // refused
      pass.tensor(region).fill(0) // refused
    }

    func evaluate(
      _ network: CompiledNetwork, _ state: borrowing StateBuffer, _ workspace: inout CompiledNetwork.Workspace
    ) throws -> Float {
      workspace.inputs(rows: 1).elements.fill(1)
      let outputs = try network.outputs(state, rows: 1, workspace: &workspace)
      outputs.elements.fill(0) // refused
      return outputs[row: 0][0]
    }

    func look(_ workspace: borrowing CompiledNetwork.Workspace) {
      workspace.inputs(rows: 1).elements.fill(1) // refused
    }

    func measure(_ loss: any Loss, _ outputs: Matrix, _ targets: Targets, _ gradient: MutableMatrix) -> Double {
      loss.writeGradient(of: outputs, targets, predictions: outputs.rows, to: gradient)
      loss.writeGradient(of: outputs, targets, predictions: outputs.rows, to: outputs) // refused
      var sum = 0.0
      loss.sum(over: gradient.matrix, targets, into: &sum)
      return sum
    }
    """

  @Test func whatIsBorrowedCanNotBeWritten() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Self.source, to: "views.swift")
    let errors = try lines(withErrorsIn: path, output: folder("errors"))
    let refused = Self.source.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
      .compactMap { $0.element.hasSuffix("// refused") ? $0.offset + 1 : nil }
    #expect(errors.lines == refused, "\(errors.text)")
  }

  /// The numbers of the lines in which the compiler finds errors, in their order; and all it says. It reads the modules of the
  /// build that runs: they lie beside the test bundle.
  private func lines(withErrorsIn path: String, output: String) throws -> (lines: [Int], text: String) {
    let build = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "swiftc", "-typecheck", "-swift-version", "6", "-I", build.appendingPathComponent("Modules").path,
      "-I", package.appendingPathComponent("Sources/CKernels/include").path,
      "-I", package.appendingPathComponent("Sources/CXXHash").path,
      "-I", package.appendingPathComponent("Sources/COpenBLAS").path,
      "-Xcc", "-fmodule-map-file=\(build.appendingPathComponent("CKernels.build/module.modulemap").path)",
      "-module-cache-path", output + ".modules", path,
    ]
    // A file instead of a pipe: a full pipe would stop the compiler.
    try "".write(toFile: output, atomically: false, encoding: .utf8)
    process.standardError = FileHandle(forWritingAtPath: output)
    try process.run()
    process.waitUntilExit()
    let text = try String(contentsOfFile: output, encoding: .utf8)
    let lines = text.split(separator: "\n").compactMap { line -> Int? in
      guard line.contains(": error: ") else { return nil }
      // A line that is not about the file, such as one about a missing module, is line 0, which nobody expects.
      guard line.hasPrefix(path + ":") else { return 0 }
      return Int(line.dropFirst(path.count + 1).prefix { $0.isNumber })
    }
    return (lines.sorted(), text)
  }
}
