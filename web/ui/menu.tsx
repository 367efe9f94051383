import { Menu as Base } from "@base-ui/react/menu";
import type { LucideIcon } from "lucide-react";
import type { ReactElement } from "react";

export type MenuItem = {
  readonly label: string;
  readonly onSelect: () => void;
  readonly icon?: LucideIcon;
  readonly disabled?: boolean;
  readonly danger?: boolean;
};

/** A button that opens a menu: `<Menu trigger={<IconButton … />} items={[…]} />`. */
export function Menu({
  trigger,
  items,
}: {
  trigger: ReactElement;
  items: readonly MenuItem[];
}): ReactElement {
  return (
    <Base.Root>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner className="menu-place" align="end" sideOffset={4}>
          <Base.Popup className="menu">
            {items.map(({ label, onSelect, icon: Icon, disabled = false, danger = false }) => (
              <Base.Item
                key={label}
                className={danger ? "menu-item danger" : "menu-item"}
                disabled={disabled}
                onClick={onSelect}
              >
                {Icon !== undefined && <Icon size={16} aria-hidden />}
                {label}
              </Base.Item>
            ))}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
