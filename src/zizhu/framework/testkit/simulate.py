"""`python -m zizhu.framework.testkit.simulate`: play seeds, and say in one line what failed."""

import sys, time
from zizhu.framework.testkit.faults import draw_plan
from zizhu.framework.testkit.kinds import SmallKind, WholeKind
from zizhu.framework.testkit.simulator import Simulation


def main():
    first, count = int(sys.argv[1]), int(sys.argv[2])
    t = time.time()
    ev = 0
    bad = {}
    for seed in range(first, first + count):
        plan = draw_plan(seed)
        sim = Simulation(WholeKind() if 'whole' in sys.argv else SmallKind(), plan, keep_trace=count == 1)
        try:
            sim.run()
        except Exception as e:
            if count == 1:
                print("\n".join(sim.trace.lines[-int(sys.argv[3]) if len(sys.argv) > 3 else 0 :]))
                import traceback

                traceback.print_exc()
            import traceback

            tb = traceback.extract_tb(e.__traceback__)[-1]
            print(
                seed,
                sim.heap.now_us // 1000,
                sim.events,
                plan.size,
                plan.classes,
                plan.actors,
                plan.spoilt,
                type(e).__name__,
                str(e)[:230],
                tb.name,
            )
        ev += sim.events
    dt = time.time() - t
    print(f"{count} seeds {ev} events {dt:.1f}s {ev / dt:.0f}/s {dt / count:.2f}s/seed")


main()
