import Runs
import TestSupport
import Testing

@Suite struct CheckpointNameTests {
  /// The pattern of valid names.
  private static func isOwn(_ name: String) -> Bool {
    let pattern = /[0-9]+-[a-z][A-Za-z0-9_.+-]*-[0-9]+-[0-9]+(-[a-z][a-z0-9_.+-]*)?\.ckpt(\.[0-9A-Fa-f-]{36}\.partial)?/
    return name.utf8.count <= 255 && name.wholeMatch(of: pattern) != nil
  }

  @Test func namesAreThoseOfThePattern() {
    let uuid = "0F9A2B3C-1D2E-4F5A-8B9C-0123456789ab"
    let names = [
      "0-forward-40-10.ckpt", "12-tail_16-20-5-exponential_0.99.ckpt", "0-sliding-forward_3-9-7-polynomial_8.ckpt", "0-file-1-0a2b-3-4.ckpt",
      "0-forward-40-10-exponential_1e-05.ckpt", "0-x-1-2-3-4.ckpt.\(uuid).partial", "0-forward-40-10.ckpt.\(uuid).partial",
    ]
    for name in names { #expect(CheckpointName.isOwn(name), "\(name)") }
    for name in [
      "", "notes.txt", "my.ckpt", "../../victim", "0-forward-40-10.ckpt/../x", "0-forward-40.ckpt", "-forward-40-10.ckpt", "0-Forward-40-10.ckpt",
      "0-forward-40-10.ckpt.partial", "0-forward-40-10.ckpt.bak", "0-forward-40-10-Rule.ckpt", "0-forward-40-10-.ckpt", "0--40-10.ckpt",
      "0-forward-40-10.ckpt.\(uuid)x.partial", "٣-forward-40-10.ckpt", "0-forward-40-10.ckpt\n",
    ] { #expect(!CheckpointName.isOwn(name), "\(name)") }

    var random = SplitMix(state: 4)
    let characters = Array("0123-_.+aZé/\n").map(Character.init)
    for _ in 0..<cases(3000, long: 100_000) {
      var name = Array(names.randomElement(using: &random) ?? "")
      for _ in 0..<Int.random(in: 0...3, using: &random) where !name.isEmpty {
        let place = Int.random(in: 0..<name.count, using: &random)
        let character = characters.randomElement(using: &random) ?? "-"
        switch Int.random(in: 0..<3, using: &random) {
        case 0: name[place] = character
        case 1: name.insert(character, at: place)
        default: name.remove(at: place)
        }
      }
      #expect(CheckpointName.isOwn(String(name)) == Self.isOwn(String(name)), "\(String(name))")
    }
  }
}
