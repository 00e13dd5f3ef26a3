import Tensors

/// Where an optimizer's slots lie in the training state: behind the network's tensors, each slot of all parameters behind the one before.
///
/// In float32 a slot has the places of the tensors, buffers included, whose places in it stay zero. In 8 bits only parameters have
/// places, one behind the other.
struct SlotLayout: Sendable {
  let precision: SlotPrecision
  /// How many slots a parameter has.
  let count: Int
  /// Length of the training state, in floats.
  let stateCount: Int
  /// How many of its first floats are numbers; those behind are codes and their scales.
  let numberCount: Int
  /// How far a parameter's slot lies from its next one, in floats.
  private let distance: Int
  /// The parameters by their places, with the places of their first slots; empty in float32.
  private var parameters: [(region: Region, slot: Region)] = []

  init(_ layout: StateLayout, _ optimizer: Optimizer) {
    precision = optimizer.slotPrecision
    count = optimizer.slotNames.count
    switch precision {
    case .float32:
      distance = layout.count
    case .eightBit:
      var arena = ArenaLayout()
      for tensor in layout.tensors where tensor.role == .parameter && count > 0 {
        let place = arena.reserve(precision.floatCount(of: tensor.region.count))
        parameters.append((tensor.region, Region(offset: layout.count + place.offset, count: place.count)))
      }
      distance = arena.count
    }
    stateCount = layout.count + count * distance
    numberCount = precision == .float32 ? stateCount : layout.count
  }

  /// The place of a slot's numbers for a parameter, or for a part of one that is whole blocks of it, the last of which may be short.
  /// - Parameter slot: 0 for the first.
  func region(_ slot: Int, of part: Region) -> Region {
    switch precision {
    case .float32:
      return Region(offset: part.offset + (slot + 1) * distance, count: part.count)
    case .eightBit:
      let parameter = parameters[place(of: part)]
      let first = part.offset - parameter.region.offset
      precondition(
        first.isMultiple(of: SlotPrecision.block) && part.end <= parameter.region.end
          && (part.count.isMultiple(of: SlotPrecision.block) || part.end == parameter.region.end),
        "a part of a parameter that is not whole blocks of its slots")
      return Region(
        offset: parameter.slot.offset + slot * distance + precision.floatCount(of: first), count: precision.floatCount(of: part.count))
    }
  }

  /// The places of a slot's numbers for some of the layout's tensors.
  func regions(_ slot: Int, of tensors: some Sequence<StateLayout.Tensor>) -> [Region] {
    tensors.filter { precision == .float32 || $0.role == .parameter }.map { region(slot, of: $0.region) }
  }

  /// The index of the last parameter that does not begin behind a part of one.
  private func place(of part: Region) -> Int {
    var (low, high) = (0, parameters.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if parameters[middle].region.offset <= part.offset { low = middle } else { high = middle }
    }
    return low
  }
}
